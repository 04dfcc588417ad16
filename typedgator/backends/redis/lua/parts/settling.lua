-- Settlements. `settle(worker, owner, idle, first, last)` reads them from ARGV[first..last]:
--   'S' n id … token …                    n successes with nothing to keep
--   'R' n id … token … outcome …          n successes with a result, kept for up to ten minutes
--   kind id token p1 p2 p3 p4             any other, kind one of
--     s success: p1 '1' with outcome p2, keep p3 ms      f failed: outcome p2
--     r retry: p1 '1' with outcome p2, delay p3          z snoozed: delay p3
--     l released      c canceled: reason p1              h held: reason p1, task p2, schema p3, bound p4
-- Answers the numbers, from 1, of those that are lost.
local function again(id, frame, rec, wait_ms)
  rec.x, rec.h = 1, nil
  save(id, rec)
  count('retrying', queue_of(frame), 1)
  delay(id, frame, now + wait_ms)
end

local function hold(id, frame, rec, reason, task, schema, bound_ms)
  rec.h = rec.h or now
  rec.hr, rec.ht, rec.hs = reason, task, schema
  save(id, rec)
  expire_again(id, frame, rec)
  C('ZADD', held, int(rec.h + bound_ms), id)
  C('ZADD', held_of, 0, kind_of(rec) .. '\0' .. id)
  C('HINCRBY', kinds, kind_of(rec), 1)
  count('held', queue_of(frame), 1)
end

local function set_outcome(id, rec, there, outcome)
  if there == '1' then
    C('HSET', results, id, outcome)
    rec.o = 1
  elseif rec.o then
    C('HDEL', results, id)
    rec.o = nil
  end
end

local function settle_one(alive, owner, idle, kind, id, token, p1, p2, p3, p4)
  local value = alive and C('HGET', owner, id)
  if not value or (value ~= token and value ~= token .. '!') then return written_before(kind, id, token) end
  local frame, rec = frame_of(id), load(id)
  C('HDEL', owner, id)
  if not frame then
    forget_run(id)
    return false
  end
  note_end({'#' .. token, kind .. id})
  if rec.c then
    C('RPUSH', idle, 1)
    C('PEXPIRE', idle, 60000)
  end
  local asked = forget_run(id)
  local attempt = (rec.a or 0) + 1
  if kind == 's' then
    rec.a = attempt
    set_outcome(id, rec, p1, p2)
    close(id, frame, rec, 's', nil, tonumber(p3))
  elseif kind == 'f' then
    rec.a = attempt
    set_outcome(id, rec, '1', p2)
    close(id, frame, rec, 'f')
  elseif kind == 'c' then
    rec.a = attempt
    close(id, frame, rec, 'c', p1)
  elseif asked then
    close(id, frame, rec, 'c', 'canceled')
  elseif kind == 'r' then
    rec.a = attempt
    set_outcome(id, rec, p1, p2)
    again(id, frame, rec, tonumber(p3))
  elseif kind == 'z' then
    again(id, frame, rec, tonumber(p3))
  elseif kind == 'l' then
    come_back(id, frame, rec)
  elseif kind == 'h' then
    hold(id, frame, rec, p1, p2, p3, tonumber(p4))
  else
    error('no such kind of verdict: ' .. kind)
  end
  settle_dependents()
  return true
end

-- Whether more than a frame and an owner's field is to be cleared away for any of the n ids from ARGV[from] on: an array
-- of answers.
local function entangled(from, n)
  local there = {}
  for _, index in ipairs({waiters, cancels, notes}) do
    if C('HLEN', index) > 0 then
      for i, found in ipairs(C('HMGET', index, unpack(ARGV, from, from + n - 1))) do there[i] = there[i] or found end
    end
  end
  if C('ZCARD', kids) > 0 then
    for i = 1, n do
      local first = named(ARGV[from + i - 1])
      there[i] = there[i] or #C('ZRANGEBYLEX', kids, '[' .. first, '[' .. first .. TOP, 'LIMIT', 0, 1) > 0
    end
  end
  return there
end

-- A run of successes, ids before tokens before outcomes; those that leave nothing else behind are written together.
local function settle_well(alive, owner, idle, first, n, stride, lost, number)
  local said, last = ARGV, first + n - 1 -- of the ids; each look at ARGV itself would be one into all globals
  local values, there = alive and C('HMGET', owner, unpack(said, first, last)) or {}, entangled(first, n)
  local marks, at, others, ending = {}, 0, nil, ':' .. ms
  if stride == 3 then ending = ending .. ':' end
  for i = 1, n do
    local token = said[last + i]
    if values[i] == token and not there[i] then
      marks[at + 1] = said[first + i - 1]
      marks[at + 2] = stride == 2 and 's' .. token .. ending or 's' .. token .. ending .. said[last + n + i]
      at = at + 2
    else
      others = others or {}
      others[#others + 1] = i
    end
  end
  if at == 2 * n then
    C('HDEL', owner, unpack(said, first, last))
    C('HDEL', frames, unpack(said, first, last))
  elseif at > 0 then
    local plain = {}
    for i = 1, at, 2 do plain[#plain + 1] = marks[i] end
    C('HDEL', owner, unpack(plain))
    C('HDEL', frames, unpack(plain))
  end
  if at > 0 then
    if stride == 3 then note_late(marks) else note_end(marks) end
  end
  for _, i in ipairs(others or {}) do
    local has_outcome, outcome, keep_ms = '0', '', '0'
    if stride == 3 then has_outcome, outcome, keep_ms = '1', said[last + n + i], '600000' end
    if not settle_one(alive, owner, idle, 's', said[first + i - 1], said[last + i], has_outcome, outcome, keep_ms) then
      lost[#lost + 1] = number + i
    end
  end
end

local STRIDES = {S = 2, R = 3}
local function settle(worker, owner, idle, first, last)
  local alive = C('ZSCORE', beats, worker)
  local lost, number, at = {}, 0, first
  while at <= last do
    local stride = STRIDES[ARGV[at]]
    if stride then
      local n = tonumber(ARGV[at + 1])
      settle_well(alive, owner, idle, at + 2, n, stride, lost, number)
      number, at = number + n, at + 2 + stride * n
    else
      number = number + 1
      if not settle_one(alive, owner, idle, unpack(ARGV, at, at + 6)) then lost[#lost + 1] = number end
      at = at + 7
    end
  end
  return lost
end
