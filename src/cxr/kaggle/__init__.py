"""What Kaggle needs: the bundle that is uploaded, and what its notebooks call there."""
