"""Paper 004: the defaults of the networks' sections are its numbers, those of `Fusion` too."""

from cxr.profiles.sections import Folds, Images, Profile

PAPER = Profile("paper", images=Images(cache_size=1024, png=True), folds=Folds(count=5))
