#!lua flags=allow-oom
-- Marks the layout of a namespace, when it has none yet.
-- KEYS    the fixed ones
-- ARGV    the layout of this release
-- Result  the layout that the namespace has
-- Cost    O(1)
-- Needs   numbers keys
C('HSETNX', meta, 'layout', ARGV[1])
return C('HGET', meta, 'layout')
