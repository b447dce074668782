"""Faults on demand, one file for each: DIR/NAME holds a mode and, if it shall end by itself, how often.

`lost 1` in the file named after a recipient: the next request for this recipient gets the fault `lost`, those after
it none. Without a number the fault stays until the file is removed. The file `all` counts for every recipient that
has no file of its own. Tests that use recipients of their own therefore do not disturb each other.
"""
import os
import threading

_lock = threading.Lock()


def take(folder, name, modes):
    """The fault for this recipient, or None; counts it. A mode that nobody knows is an error, not a calm day."""
    with _lock:
        for candidate in (name, "all"):
            path = os.path.join(folder, os.path.basename(candidate))
            try:
                with open(path, encoding="utf-8") as file:
                    words = file.read().split()
            except FileNotFoundError:
                continue
            if not words:  # being written at this moment
                continue
            if words[0] not in modes:
                raise ValueError(f"unknown fault {words[0]!r} in {path}; known: {' '.join(modes)}")
            if len(words) > 1:
                left = int(words[1]) - 1
                if left > 0:
                    with open(path + ".new", "w", encoding="utf-8") as file:
                        file.write(f"{words[0]} {left}\n")
                    os.replace(path + ".new", path)
                else:
                    os.unlink(path)
            return words[0]
        return None
