"""Label files of the competition and its companions, folds, and what trainings read."""
