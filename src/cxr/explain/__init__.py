"""Where a model looks: heat maps of single pictures, and how much of the heat lies where it should."""
