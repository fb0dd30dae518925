"""`make rehearse`: the built Kaggle kernel run here as Kaggle would run it, and its submission beside our own."""
