-- ARGV[1] is the version of the list of queues that the caller knows, and so of the keys that it declared. When it is
-- not the present one nothing is done: the caller is told the list, and calls again with the right keys.
if (C('HGET', meta, 'queues') or '0') ~= ARGV[1] then
  return {'roster', C('HGET', meta, 'queues') or '0', C('SMEMBERS', queues)}
end
