"""The other papers' systems run, side by side: their own tasks, the competition's four classes, one comparison."""
