"""The commands, one file each; they print, and compute nothing."""
