-- Waiting jobs: score (255 - priority) * 2^45 + place. Those that came back have places below 2^44, in the order of
-- coming back; those that never left have them above.
local HALF, LANE = 17592186044416, 35184372088832
local byte, sub = string.byte, string.sub

local function queue_of(frame) return sub(frame, 22, 21 + byte(frame, 21)) end
local function has(frame, flag) return math.floor(byte(frame, 2) / flag) % 2 == 1 end
local function expires_of(frame) return (struct.unpack('>I8', frame, 13)) end

local woken = {}
local function wake(queue)
  if woken[queue] then return end
  woken[queue] = true
  local list = prefix .. 'wake:' .. queue
  if C('LLEN', list) == 0 then
    C('RPUSH', list, 1)
    C('PEXPIRE', list, 60000)
  end
  if C('LLEN', everyone) == 0 then
    C('RPUSH', everyone, 1)
    C('PEXPIRE', everyone, 60000)
  end
end

local function line_up(id, frame, returned)
  local place = returned and C('HINCRBY', meta, 'front', 1) or HALF + C('HINCRBY', meta, 'seq', 1)
  local queue = queue_of(frame)
  C('ZADD', ready(queue), int((255 - byte(frame, 3)) * LANE + place), id)
  wake(queue)
end

local function count(state, queue, n)
  local field = state .. ':' .. queue
  if C('HINCRBY', tally, field, n) == 0 then C('HDEL', tally, field) end
end

-- Idle workers look up at least every 5 s: only what is due sooner must wake one.
local function delay(id, frame, due)
  C('ZADD', delayed, int(due), id)
  if due <= now + 5000 and C('ZRANGE', delayed, 0, 0)[1] == id then wake(queue_of(frame)) end
end

-- The record beside a frame, written only when something happened that the frame does not say:
--   a attempts spent, c crashes, x started (nothing expires any more), d due although blocked, o has an outcome,
--   r reason of a dead letter, h held since, hr ht hs reason, task and schema of the latest Held
local function read_rec(packed)
  if not packed then return nil end
  local well, rec = pcall(cmsgpack.unpack, packed)
  return well and type(rec) == 'table' and rec or {}
end

local function load(id) return read_rec(C('HGET', recs, id)) or {} end

-- What another client or an eviction left of a job must not stop the others: a frame that cannot be read is none.
local function frame_of(id)
  local frame = C('HGET', frames, id)
  return frame and #frame > 21 and #frame >= 21 + byte(frame, 21) and frame
end

local function save(id, rec)
  if next(rec) == nil then C('HDEL', recs, id) else C('HSET', recs, id, cmsgpack.pack(rec)) end
end
