from lib.explore.explorer import BOOK_FOLDER, Explorer, explore

__all__ = ["BOOK_FOLDER", "Explorer", "explore"]
