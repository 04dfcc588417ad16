-- Ends of jobs, and what they free: unique keys, dependents, who waits for the outcome.
local told, endings = {}, {}

local function least_of(frame)
  if has(frame, 16) then return 86400000 end
  return has(frame, 32) and 600000 or 60000
end

local function bury(id)
  local frame, rec = frame_of(id), load(id)
  local finished = -tonumber(C('ZSCORE', dead, id))
  C('ZREM', dead, id)
  C('HDEL', frames, id)
  C('HDEL', recs, id)
  C('HDEL', results, id)
  if not frame then return end
  if has(frame, 1) then C('HDEL', unique_of, id) end
  count('failed', queue_of(frame), -1)
  remember(id, 'f', {f = finished, r = rec.r, a = rec.a, c = rec.c}, least_of(frame))
end

local function drop(ids)
  for _, id in ipairs(ids) do bury(id) end
  if #ids > 0 then C('HINCRBY', meta, 'dropped', #ids) end
end

-- Last step of every end; the job is in no index any more but `frames`. `keep_ms` is for its outcome.
local function close(id, frame, rec, state, reason, keep_ms)
  if has(frame, 1) then
    local key = C('HGET', unique_of, id)
    if key and C('HGET', unique, key) == id then C('HDEL', unique, key) end
    if state ~= 'f' then C('HDEL', unique_of, id) end
  end
  if has(frame, 2) then C('ZREM', expiring, id) end
  if C('HLEN', waiters) > 0 then
    local waiting = C('HGET', waiters, id)
    if waiting then
      C('HDEL', waiters, id)
      told[#told + 1] = id
      told[#told + 1] = waiting
    end
  end
  if C('ZCARD', kids) > 0 then endings[#endings + 1] = {id, state == 's'} end
  if state == 'f' then
    rec.r, rec.x, rec.h, rec.hr, rec.ht, rec.hs = reason, 1, nil, nil, nil, nil
    save(id, rec)
    C('ZADD', dead, int(-now), id)
    count('failed', queue_of(frame), 1)
    if C('ZCARD', dead) > 10000 then drop(C('ZRANGE', dead, 10000, 10255)) end
    return
  end
  C('HDEL', frames, id)
  C('HDEL', recs, id)
  local outcome_ms = rec.o and math.max(keep_ms or 60000, 60000)
  remember(id, state, {r = reason, a = rec.a, c = rec.c}, math.max(keep_ms or 0, least_of(frame)), outcome_ms)
end

local function named(id) return string.char(#id) .. id end
local TOP = string.rep('\255', 17)

local function under(index, id)
  local first = named(id)
  local found = C('ZRANGEBYLEX', index, '[' .. first, '[' .. first .. TOP)
  for i = 1, #found do found[i] = sub(found[i], #first + 1) end
  return found
end

-- A blocked job depends on nothing any more; whether it was blocked.
local function unblock(child)
  local parents = under(blocked, child)
  for _, parent in ipairs(parents) do
    C('ZREM', blocked, named(child) .. parent)
    C('ZREM', kids, named(parent) .. child)
  end
  return #parents > 0
end

local function admit(id)
  local frame, rec = frame_of(id), load(id)
  if not frame then return end
  count('blocked', queue_of(frame), -1)
  local due = rec.d
  if due then
    rec.d = nil
    save(id, rec)
  end
  if due and due > now then
    count('scheduled', queue_of(frame), 1)
    delay(id, frame, due)
  else
    line_up(id, frame)
  end
end

-- Frees or cancels what waited for the jobs that were closed, and theirs: a list, since chains may be long.
local function settle_dependents()
  local at = 1
  while endings[at] do
    local id, well = endings[at][1], endings[at][2]
    for _, child in ipairs(under(kids, id)) do
      if well then
        C('ZREM', kids, named(id) .. child)
        C('ZREM', blocked, named(child) .. id)
        local first = named(child)
        if #C('ZRANGEBYLEX', blocked, '[' .. first, '[' .. first .. TOP, 'LIMIT', 0, 1) == 0 then admit(child) end
      else
        unblock(child)
        local frame = frame_of(child)
        if frame then
          count('blocked', queue_of(frame), -1)
          close(child, frame, load(child), 'c', 'dependency')
        end
      end
    end
    at = at + 1
  end
  endings = {}
end
