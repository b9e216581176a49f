-- The load for wrk: a fresh call with each post.
local serial, prefix = 0, os.time()
function init() math.randomseed(os.time()) prefix = string.format("%08x", math.random(0, 0x7fffffff)) end
function request()
  serial = serial + 1
  local body = "event_type=ringing&domain_id=101&direction=inbound&caller_id_number=02123205062"
    .. "&outbound_caller_id_number=&destination_number=1001&dialed_user=1001&call_uuid=" .. prefix .. "-" .. serial
    .. "&start_stamp=" .. os.date("%Y-%m-%d+%H:%M:%S")
  return wrk.format("POST", "/event/bench-token", {["Content-Type"] = "application/x-www-form-urlencoded"}, body)
end
