"""What a part of the pipeline is worth: the same trainings without it or with another choice, with intervals."""
