-- The server's clock.
local T = C('TIME')
local now_us = T[1] * 1000000 + T[2]
local now = math.floor(now_us / 1000)
