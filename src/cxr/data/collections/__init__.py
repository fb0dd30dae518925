"""Data sets assembled from many sources, as papers 000 to 003 do: adapters, a contract, the papers' rules, a split."""
