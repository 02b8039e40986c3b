# Events of the Taobao user behaviour data (user, item, category, behaviour, Unix time), as CSV without a header.
#
#   zcat UserBehavior_1h.csv.gz | awk -f deploy/audit/taobao.awk | nudge events log -o taobao && nudge audit taobao -c deploy/audit/taobao.yaml
BEGIN { FS = ","; type["pv"] = "product.viewed"; type["cart"] = "product.added"; type["fav"] = "wishlist.added"; type["buy"] = "order.completed" }
NF == 5 && $5 ~ /^[0-9]+$/ && $4 in type {
  printf "{\"id\":\"%d\",\"type\":\"%s\",\"time\":%s000,\"user\":\"%s\",", NR, type[$4], $5, $1
  if ($4 == "buy") printf "\"items\":[{\"id\":\"%s\"}],\"value\":0,\"props\":{\"order\":\"o%d\",\"category\":\"%s\"}}\n", $2, NR, $3
  else printf "\"item\":\"%s\",\"props\":{\"category\":\"%s\"}}\n", $2, $3
}
