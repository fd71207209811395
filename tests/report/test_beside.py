"""Curves from elsewhere."""

import json
import math

import pytest

from ltc.errors import InputError
from ltc.report import Report, find_runs, read_beside, settings
from ltc.report.curves import Setting
from ltc.report.figure import draw
from ltc.report.page import write_page
from ltc.report.style import colours


@pytest.fixture
def setting(write_run, tmp_path):
    for i, lmbda in enumerate((1, 2, 8)):
        write_run(f"run{i}", lmbda=lmbda)
    (found,) = settings(find_runs([tmp_path])[0])
    return found


FORMS = {
    "columns.csv": "rate,distortion,comment\n1.5,0.2,x\n0.8,0.4,y\n",
    "decibel.csv": f"snr_db,rate\n{10 * math.log10(5)},1.5\n{10 * math.log10(2.5)},0.8\n",
    "rows.json": '[{"rate": 1.5, "distortion": 0.2}, {"rate": 0.8, "distortion": 0.4}]',
    "columns.json": '{"rate": [1.5, 0.8], "distortion": [0.2, 0.4], "about": "mine"}',
    "points.json": '{"about": "mine", "source": "iid_gaussian", "points": '
    '[{"rate": 1.5, "distortion": 0.2}, {"rate": 0.8, "distortion": 0.4}]}',
}


@pytest.mark.parametrize("name", FORMS)
def test_forms(setting, tmp_path, name):
    (tmp_path / name).write_text(FORMS[name])
    (beside,) = read_beside(f"mine={tmp_path / name}")
    curve = beside.curve(setting)
    assert curve.label == "mine"
    assert curve.beside
    assert [point.rate.value for point in curve.points] == [0.8, 1.5]  # in the order of rates
    assert [p.distortion.value for p in curve.points] == pytest.approx([0.4, 0.2])
    assert [p.snr_db.value for p in curve.points] == pytest.approx(
        [-10 * math.log10(0.4), -10 * math.log10(0.2)]
    )
    gaps = [0.8 - 0.5 * math.log2(2.5), 1.5 - 0.5 * math.log2(5)]
    assert [p.gap_bits.value for p in curve.points] == pytest.approx(gaps)


def test_several_curves_and_sources_in_a_file(setting, tmp_path):
    file = tmp_path / "several.csv"
    file.write_text(
        "curve,source,rate,distortion,gap_bits\nx,iid_gaussian,1,0.3,0.12\nx,iid_gaussian,2,0.01,\n"
        "y,banana,1,0.3,\nz,,1,0.3,\n"
    )
    found = read_beside(f"old={file}")
    assert [(one.label, one.particulars.get("source")) for one in found] == [
        ("old x", "iid_gaussian"), ("old y", "banana"), ("old z", None),
    ]  # fmt: skip
    x, y, z = (one.curve(setting) for one in found)
    # As it says itself; beyond the runs' brackets it is not known.
    assert [p.gap_bits and p.gap_bits.value for p in x.points] == [0.12, None]
    assert y is None
    assert z.points[0].gap_bits.value == pytest.approx(1 - 0.5 * math.log2(1 / 0.3))


def test_the_table_of_a_report_can_be_laid_beside(write_run, tmp_path):
    from ltc.report.tables import write_tables

    for i, lmbda in enumerate((1, 2, 8)):
        write_run(f"runs/{i}", lmbda=lmbda)
    report = Report.of([tmp_path / "runs"])
    write_tables(report, tmp_path)
    (old,) = read_beside(f"old={tmp_path / 'points.csv'}")
    (setting,) = report.settings
    (curve,) = setting.curves
    again = old.curve(setting)
    assert again.label == "old e8"
    for one, other in zip(again.points, curve.points, strict=True):
        assert (one.rate.value, one.gap_bits.value) == (other.rate.value, other.gap_bits.value)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.csv", "", "holds no points"),
        ("a.csv", "rate,distortion\n", "holds no points"),
        ("a.csv", "rate,psnr\n1,30\n", "point 1 has rate, psnr; expected rate, and distortion or"),
        ("a.csv", "rate,distortion\n1,0.1\n2,x\n", "point 2: distortion=x"),
        ("a.csv", "rate,distortion\n1,0\n", "distortion=0"),
        ("a.csv", "rate,distortion\n-1,0.1\n", "rate=-1"),
        ("a.csv", "rate,snr_db\nnan,1\n", "rate=nan"),
        ("a.csv", "rate,snr_db\n1,-1e9\n", "snr_db=-1e9; expected a number from -1000 to 1000"),
        ("a.csv", "rate,distortion\n1,1e-320\n", "distortion=1e-320"),
        ("a.csv", b"\xff\xfe\x00", "cannot be read"),
        ("a.json", "{", "cannot be read"),
        ("a.json", "3", "holds no points"),
        ("a.json", "[1, 2]", "holds no points"),
        ("a.json", "[]", "holds no points"),
        ("a.json", 100_000 * "[", "cannot be read"),
        ("a.json", '[{"rate": [1], "distortion": 1}]', "rate=[1]"),
        ("a.json", '{"rate": [1, 2], "distortion": [1]}', "cannot be read"),
        ("a.xlsx", "", "ends in .xlsx, expected .csv or .json"),
    ],
)
def test_bad_files(tmp_path, name, text, expected):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as error:
        read_beside(f"mine={tmp_path / name}")
    assert expected in str(error.value)


def test_a_source_is_a_name_whatever_the_file_has(tmp_path):
    (tmp_path / "a.json").write_text('[{"rate": 1, "snr_db": 3, "source": ["x"]}]')
    (curve,) = read_beside(f"a={tmp_path / 'a.json'}")
    assert curve.particulars == {"source": "['x']"}


def test_bad_arguments(tmp_path):
    for text in ("nothing", "=x.csv", "x="):
        with pytest.raises(InputError, match=r"expected NAME=FILE.*: kodak, paper"):
            read_beside(text)
    with pytest.raises(InputError, match="No such file"):
        read_beside(f"x={tmp_path / 'none.csv'}")


def test_published_curves_tell_their_source_and_lie_above_the_limit():
    gaussian = Setting("iid_gaussian", {"source": "iid_gaussian"}, (), {}, 1.0)
    for beside in read_beside("paper"):
        assert "arXiv 2403.07320" in beside.about
        curve = beside.curve(gaussian)
        assert len(curve.points) >= 5
        for row in beside.rows:
            limit = 0.5 * math.log2(1 / row["distortion"])
            assert row["gap_bits"] == pytest.approx(row["rate"] - limit, abs=2e-4)
            assert row["gap_bits"] > 0


def test_published_pictures_lie_beside_runs_measured_on_the_same(write_run, tmp_path):
    for i, psnr in enumerate((28, 32, 36, 40)):
        measured = {"bits_per_pixel": 0.2 * 2**i, "psnr_db": psnr, "bound_rate_lower": None}
        for root in (None, "kodak"):
            write_run(
                f"{root}{i}", source="images", lmbda=i + 1, **measured, **{"source.root": root}
            )
    report = Report.of([tmp_path], read_beside("kodak"))
    others = {s.particulars["source.root"]: s.others for s in report.settings}
    assert not others[None]
    assert {"JPEG", "VTM", "hyperprior, 2018"} <= {curve.label for curve in others["kodak"]}
    for curve in others["kodak"]:
        assert "InterDigitalInc/CompressAI" in curve.about
        bits, psnr = ([getattr(p, k).value for p in curve.points] for k in report.settings[0].axes)
        assert bits == sorted(bits)
        assert psnr == sorted(psnr)
    write_page(report, tmp_path / "index.html")
    assert "size of files (bits per pixel)" in (tmp_path / "index.html").read_text()
    left = draw(report).subfigs[0].axes[0]
    assert (left.get_ylabel(), left.get_xlabel()) == ("PSNR (dB)", "size of files (bits per pixel)")
    rows = report.difference_rows()
    pairs = {(row["reference"], row["curve"]): row["rate_pchip"] for row in rows}
    assert pairs["JPEG", "VTM"] < pairs["JPEG", "hyperprior, 2018"] < -40


def test_published_curves_have_the_colour_of_their_lattice(write_run, tmp_path):
    for name in ("scalar", "d4_dual", "leech"):
        for rdo in (False, True):
            write_run(f"{name}{rdo}", quantizer=name, **{"quantizer.rdo": rdo})
    report = Report.of([tmp_path], read_beside("paper"))
    curves = report.settings[0].shown
    colour = dict(zip((curve.label for curve in curves), colours(curves), strict=True))
    ours = {c.label: colour[c.label] for c in curves if not c.beside}
    assert len(set(ours.values())) == 6
    assert ours.items() >= {
        ("scalar quantizer.rdo=false", colour["NTC, scalar (2025)"]),
        ("d4_dual quantizer.rdo=false", colour["LTC, d4_dual (2025)"]),
        ("leech quantizer.rdo=false", colour["LTC, leech (2025)"]),
    }
    for label in ("ECSQ (2025)", "LTC, e8 (2025)"):  # which no run has
        assert colour[label] not in ours.values()


def test_curves_laid_beside_are_compared_too(write_run, tmp_path):
    for i, lmbda in enumerate((1, 2, 4, 8)):
        write_run(f"run{i}", lmbda=lmbda)
    report = Report.of([tmp_path], read_beside("paper"))
    pairs = {(d.reference, d.curve): d for d in report.differences["iid_gaussian"]}
    leech = pairs["e8", "LTC, leech (2025)"]
    assert leech.rate_pchip < 0  # nearer to the limit than a gap of 0.1 bits
    json.dumps(report.contents(), allow_nan=False)


@pytest.mark.parametrize("value", ["1" + 400 * "0", "true"])
def test_what_is_no_number_is_refused(tmp_path, value):
    file = tmp_path / "mine.json"
    file.write_text(f'[{{"snr_db": 5, "rate": {value}}}]')
    with pytest.raises(InputError, match="expected a number from 0 to 1e"):
        read_beside(f"mine={file}")
