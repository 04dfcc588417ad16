#!lua flags=allow-oom
-- Those who wait for these ends are told.
-- KEYS    a list for each job
-- ARGV    how many wait, for each job
-- Result  1
-- Cost    O(n)
-- Needs
for i, list in ipairs(KEYS) do
  for _ = 1, math.min(ARGV[i], 256) do redis.call('RPUSH', list, 1) end
  redis.call('PEXPIRE', list, 60000)
end
return 1
