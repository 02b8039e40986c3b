# Events of the Taobao user behaviour data (user, item, category, behaviour, Unix time), as CSV without a header.
#
# An hour and a half of everybody, which is in the order of time, and the nine days of 114 users, one after the other, which is not:
#
#   zcat UserBehavior_1h.csv.gz | awk -f deploy/audit/taobao.awk | nudge events log -o hour && nudge audit hour -c deploy/audit/taobao.yaml
#   zcat UserBehavior_users.csv.gz | awk -f deploy/audit/taobao.awk | nudge events sort | nudge events log -o users && nudge audit users -c deploy/audit/taobao.yaml
#
# 93209 decisions, 3728360 features hold, 0 differ, 0 were passed over; 9788 decisions, 391449 hold, 0 differ, 71 were passed over. The hour takes ten
# minutes of CPU: every feature of all together looks at every event so far; --every 10 holds one decision of ten.
BEGIN { FS = ","; type["pv"] = "product.viewed"; type["cart"] = "product.added"; type["fav"] = "wishlist.added"; type["buy"] = "order.completed" }
NF == 5 && $5 ~ /^[0-9]+$/ && $4 in type {
  printf "{\"id\":\"%d\",\"type\":\"%s\",\"time\":%s000,\"user\":\"%s\",", NR, type[$4], $5, $1
  if ($4 == "buy") printf "\"items\":[{\"id\":\"%s\"}],\"value\":0,\"props\":{\"order\":\"o%d\",\"category\":\"%s\"}}\n", $2, NR, $3
  else printf "\"item\":\"%s\",\"props\":{\"category\":\"%s\"}}\n", $2, $3
}
