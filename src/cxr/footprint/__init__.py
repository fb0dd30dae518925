"""What a run takes of disk, memory and GPU, known from its profile before it begins."""

from cxr.footprint.in_memory import memory
from cxr.footprint.on_disk import disk, peak_bytes
from cxr.footprint.room import disk_notes

__all__ = ["disk", "disk_notes", "memory", "peak_bytes"]
