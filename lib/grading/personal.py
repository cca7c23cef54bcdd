"""Numbers of a learner's own: `student_id` chooses them, the same in every process and on every machine."""

import hashlib
import unicodedata


def own_numbers(
    student_id: str, task: str, count: int, low: int, high: int
) -> list[int]:
    """`count` whole numbers from `low` to `high`, both included, that belong to this learner and this task.

    They are read off a hash of the two texts, not drawn by a random generator: no version of NumPy or Python can
    change them. An empty id gives the course's own set.
    """
    if high < low:
        raise ValueError(
            f"high: expected at least low, which is {low}; got {high}: exchange the two"
        )
    name = unicodedata.normalize("NFC", str(student_id).strip())  # one way to write ú
    text = f"{task}\n{name}".encode()
    digest = hashlib.shake_256(text).digest(8 * count)
    parts = (digest[8 * n : 8 * n + 8] for n in range(count))
    return [low + int.from_bytes(part, "big") % (high - low + 1) for part in parts]
