"""A worker in Python, standard library only: a made-up training whose loss depends on the parameters.

Two ways to report are shown. `loss=…` on stdout is enough. Over the channel (a socket whose number is in
FORKLESS_FD, one JSON object a line) the worker also tells every step and learns whether to stop early.
"""

import argparse
import json
import math
import os
import socket


class Channel:
    """Talks to forkless, or to nobody when the script is run by hand."""

    def __init__(self):
        fd = os.environ.get("FORKLESS_FD")
        self.file = None
        if fd is not None:
            self.file = socket.socket(fileno=int(fd)).makefile("rw", encoding="utf-8")

    def report(self, step, value):
        """Tells an intermediate value; True when the trial should stop."""
        if self.file is None:
            return False
        self.file.write(json.dumps({"op": "report", "step": step, "value": value}) + "\n")
        self.file.flush()
        return json.loads(self.file.readline())["prune"]

    def say(self, **message):
        if self.file is not None:
            self.file.write(json.dumps(message) + "\n")
            self.file.flush()


def train(args, channel):
    """The loss after 20 steps, or None when pruned."""
    best_lr = 3e-3 / args.layers
    bias = {"relu": 0.02, "tanh": 0.05, "gelu": 0.0}[args.act]
    distance = abs(math.log10(args.lr / best_lr))
    loss = 1.0
    for step in range(20):
        loss = 0.1 + bias + 0.05 * distance + (args.dropout - 0.1) ** 2 + math.exp(-(step + 1) / (3 + distance))
        if channel.report(step, loss):
            return None
    return loss


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--layers", type=int, required=True)
    parser.add_argument("--act", choices=["relu", "tanh", "gelu"], required=True)
    parser.add_argument("--dropout", type=float, default=0.0)  # left out where it is inactive
    args = parser.parse_args()
    channel = Channel()
    loss = train(args, channel)
    if loss is None:
        channel.say(op="pruned")
        return
    print(f"loss={loss}")
    channel.say(op="result", values=[loss])


if __name__ == "__main__":
    main()
