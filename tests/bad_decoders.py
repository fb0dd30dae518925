"""Decoders that misbehave as a hostile file could make ours; light, since a process of its own imports them."""

import os
import time

from cxr.images.jobs import Done


def hang(job):
    time.sleep(60)
    return Done()


def crash(job):
    os.abort()


def swell(job):
    return Done({"size": len(bytearray(2**31))})
