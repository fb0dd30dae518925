"""Pictures of many sources in one table: an adapter a layout, the papers' rules, a split by patient."""
