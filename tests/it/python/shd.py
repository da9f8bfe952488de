"""Writes a small file in the form of the Spiking Heidelberg Digits: rows of float16 times and uint16 units."""

import sys

import h5py
import numpy

rows = [([0.0, 0.5, 1.0], [699, 3, 0]), ([], []), ([1 / 3], [350])]
with h5py.File(sys.argv[1], "w") as file:
    times = file.create_dataset("spikes/times", (len(rows),), dtype=h5py.vlen_dtype(numpy.float16))
    units = file.create_dataset("spikes/units", (len(rows),), dtype=h5py.vlen_dtype(numpy.uint16))
    for index, (time, unit) in enumerate(rows):
        times[index] = numpy.array(time, numpy.float16)
        units[index] = numpy.array(unit, numpy.uint16)
    file["labels"] = numpy.array([0, 19, 7], numpy.uint16)
    file["extra/speaker"] = numpy.array([4, 0, 11], numpy.uint16)
