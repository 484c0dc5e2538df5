"""HTTP as hooks and worker classes see it. The parser is libprefork's."""
