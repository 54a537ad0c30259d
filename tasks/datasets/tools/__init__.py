"""Labels as annotation tools export and import them: one file a tool, which reads and writes its form."""
