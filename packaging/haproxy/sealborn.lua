-- Asks sealborn about each request, by HAProxy's own HTTP client (HAProxy 2.6 or later).
--
--   setenv SEALBORN_ADDRESS unix@/run/sealborn/decide.sock
--   lua-load-per-thread /usr/share/sealborn/haproxy/sealborn.lua
--
-- "http-request lua.sealborn" then sets these variables of the transaction:
--   txn.sealborn_status   200 permitted, 401, 403, 503; 0 where sealborn did not answer
--   txn.sealborn_subject  who is asking, where permitted
--   txn.sealborn_reason, txn.sealborn_decision_id, txn.sealborn_challenge

local destination = os.getenv("SEALBORN_ADDRESS") or "unix@/run/sealborn/decide.sock"
local milliseconds = 2000

-- What belongs to the client's connection and body, or says what only this script may say.
local left_out = {
  ["connection"] = true, ["keep-alive"] = true, ["proxy-connection"] = true, ["te"] = true,
  ["trailer"] = true, ["transfer-encoding"] = true, ["upgrade"] = true, ["expect"] = true,
  ["content-length"] = true, ["host"] = true,
  ["x-original-method"] = true, ["x-original-uri"] = true,
}

local function headers_of(txn)
  local headers = {}
  for name, values in pairs(txn.http:req_get_headers()) do
    if not left_out[name] then
      -- Every line of a header that stands more than once: sealborn refuses where one decides.
      local lines = {}
      for index = 0, #values do lines[index + 1] = values[index] end
      headers[name] = lines
    end
  end
  headers["x-original-method"] = { txn.sf:method() }
  headers["x-original-uri"] = { txn.sf:pathq() }
  return headers
end

local function first(response, name)
  local values = response.headers and response.headers[name]
  return values and (values[0] or values[1]) or ""
end

core.register_action("sealborn", { "http-req" }, function(txn)
  txn:set_var("txn.sealborn_status", 0)
  local response = core.httpclient():get({
    url = "http://127.0.0.1/authz/haproxy",
    headers = headers_of(txn),
    dst = destination,
    timeout = milliseconds,
  })
  if response == nil or response.status == nil then return end
  txn:set_var("txn.sealborn_status", response.status)
  txn:set_var("txn.sealborn_reason", first(response, "x-sealborn-reason"))
  txn:set_var("txn.sealborn_decision_id", first(response, "x-sealborn-decision-id"))
  if response.status == 200 then
    txn:set_var("txn.sealborn_subject", first(response, "x-sealborn-subject"))
  elseif response.status == 401 then
    txn:set_var("txn.sealborn_challenge", first(response, "www-authenticate"))
  end
end, 0)
