#!lua flags=allow-oom
-- What time does to jobs, up to `limit` of each kind.
-- KEYS    the fixed ones, then ready and wake of each queue
-- ARGV    version of the queues, '', limit, how many held ones may fail
-- Result  {'ok', promoted, expired, failed, forgotten, lapsed workers, ends to tell of}
-- Cost    O(n log N)
-- Needs   numbers keys clock roster memory lines ending moves
local limit = tonumber(ARGV[3])
local lapsed = C('ZRANGEBYSCORE', beats, '-inf', ms, 'LIMIT', 0, 16)
for _, name in ipairs(C('ZRANGE', over, 0, 15)) do lapsed[#lapsed + 1] = name end
if #lapsed > 0 then return {'ok', 0, 0, 0, 0, lapsed, told} end
-- No lease is longer than it was asked for, also when the clock was set back meanwhile: whoever lives beats again.
local last = C('ZRANGE', beats, -16, -1, 'WITHSCORES')
for i = 1, #last, 2 do
  local lease = string.match(C('HGET', workers, last[i]) or '', '^%d+')
  if lease and tonumber(last[i + 1]) > now + lease then C('ZADD', beats, int(now + lease), last[i]) end
end
done()
late()
local promoted, expired, failed = promote(limit), 0, 0
while expired < limit do
  local over_time = C('ZRANGEBYSCORE', expiring, '-inf', ms, 'LIMIT', 0, limit - expired)
  local before = expired
  for _, id in ipairs(over_time) do
    local frame = frame_of(id)
    -- A parent that expired just before may have taken it along, and left room for one behind it.
    if C('ZREM', expiring, id) == 1 and frame then
      local rec = load(id)
      withdraw(id, frame, rec)
      close(id, frame, rec, 'c', 'expired')
      settle_dependents()
      expired = expired + 1
    end
  end
  if expired == before then break end -- nothing there, or nothing but what nobody can read
end
for _, id in ipairs(C('ZRANGEBYSCORE', held, '-inf', ms, 'LIMIT', 0, tonumber(ARGV[4]))) do
  local frame, rec = frame_of(id), load(id)
  local reason = rec.hr
  if frame then
    unhold(id, frame, rec)
    close(id, frame, rec, 'f', reason)
    settle_dependents()
    failed = failed + 1
  else
    C('ZREM', held, id)
  end
end
local forgotten = 0
for _, id in ipairs(C('ZRANGEBYSCORE', keep, '-inf', ms, 'LIMIT', 0, limit)) do
  local known = C('HGET', kept, id)
  local info = known and read_rec(sub(known, 2)) or {}
  if info.o and info.u then
    C('HDEL', results, id)
    info.o = nil
    C('HSET', kept, id, sub(known, 1, 1) .. cmsgpack.pack(info))
    C('ZADD', keep, int(info.u), id)
  end
  if not info.u or info.u <= now then
    C('HDEL', kept, id)
    C('ZREM', keep, id)
  end
  forgotten = forgotten + 1
end
local old = C('ZRANGEBYSCORE', dead, int(-(now - 604800000)), '+inf', 'LIMIT', 0, limit - forgotten)
drop(old)
return {'ok', promoted, expired, failed, forgotten + #old, lapsed, told}
