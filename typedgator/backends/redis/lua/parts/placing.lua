-- One job gets in line: what `id`, `head`, `rest` and `there` say of it, and the keys by their names.
local place = 17592186044416 + C('HINCRBY', meta, 'seq', 1)
local score = (255 - string.byte(head, 3)) * 35184372088832 + place
-- In two halves, as it is above 10^13: for that int() takes three times as long.
local placed = redis.pcall('ZADD', line, string.format('%d%08d', math.floor(score / 1e8), score % 1e8), id)
if type(placed) == 'table' then -- another's key, or a right that is missing: sent again, it must not be known
  C('HDEL', frames, id)
  return placed
end
if there % 2 == 0 then
  -- Where a token lies the queue is known, since whoever puts one there has a job of it.
  if C('SADD', queues, string.sub(rest, 10, 9 + string.byte(rest, 9))) == 1 then
    -- As parts/versions.lua.
    C('HSET', meta, 'queues', int(math.max((C('HGET', meta, 'queues') or 0) + 1, now_us)))
  end
  C('RPUSH', list, 1)
  C('PEXPIRE', list, 60000)
end
if there < 2 then
  C('RPUSH', everyone, 1)
  C('PEXPIRE', everyone, 60000)
end
