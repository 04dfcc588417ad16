-- Jobs that leave a state by hand or by time, and jobs that come back.
local function kind_of(rec) return (rec.ht or '') .. '\0' .. (rec.hs or '') end

local function unhold(id, frame, rec)
  if C('ZREM', held, id) == 0 then return false end
  C('ZREM', held_of, kind_of(rec) .. '\0' .. id)
  if C('HINCRBY', kinds, kind_of(rec), -1) == 0 then C('HDEL', kinds, kind_of(rec)) end
  count('held', queue_of(frame), -1)
  rec.hr, rec.ht, rec.hs = nil, nil, nil
  return true
end

-- Takes an unfinished job that is not running out of where it is; says the state it was in, or nil.
local function withdraw(id, frame, rec)
  local queue = queue_of(frame)
  if C('ZREM', delayed, id) == 1 then
    local state = rec.x and 'retrying' or 'scheduled'
    count(state, queue, -1)
    return state
  end
  if C('ZREM', ready(queue), id) == 1 then return 'waiting' end
  if unhold(id, frame, rec) then return 'held' end
  if unblock(id) then
    count('blocked', queue, -1)
    return 'blocked'
  end
  return nil
end

-- Whether an attempt was asked to stop; what is beside a running job goes.
local function forget_run(id)
  if C('HLEN', notes) > 0 then C('HDEL', notes, id) end
  if C('HLEN', suspects) > 0 then C('HDEL', suspects, id) end
  return C('HLEN', cancels) > 0 and C('HDEL', cancels, id) == 1
end

-- What was not started may expire again.
local function expire_again(id, frame, rec)
  if has(frame, 2) and not rec.x then C('ZADD', expiring, int(expires_of(frame)), id) end
end

local function come_back(id, frame, rec, asked)
  if asked then
    close(id, frame, rec, 'c', 'canceled')
    settle_dependents()
    return
  end
  save(id, rec)
  expire_again(id, frame, rec)
  line_up(id, frame, true)
end

local function promote(limit)
  local due = C('ZRANGEBYSCORE', delayed, '-inf', ms, 'LIMIT', 0, limit)
  for _, id in ipairs(due) do
    local frame = frame_of(id)
    C('ZREM', delayed, id)
    if frame then
      count(load(id).x and 'retrying' or 'scheduled', queue_of(frame), -1)
      line_up(id, frame)
    end
  end
  return #due
end
