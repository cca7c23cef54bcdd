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
    text = f"{task}\n{written_one_way(student_id)}".encode()
    digest = hashlib.shake_256(text).digest(8 * count)
    parts = (digest[8 * n : 8 * n + 8] for n in range(count))
    return [low + int.from_bytes(part, "big") % (high - low + 1) for part in parts]


def written_one_way(student_id: str) -> str:
    """The id without blanks around it, and ú as one character: ids with the same numbers become the same text."""
    return unicodedata.normalize("NFC", str(student_id).strip())
