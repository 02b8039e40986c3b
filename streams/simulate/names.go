package simulate

// category is one branch of the shop. Prices are median cents.
type category struct {
	name    string
	subs    [3]string
	nouns   [3][2]string // by sub
	nounsZH [3][2]string
	cents   float64
	season  float64 // day of the year on which demand peaks
	swing   float64 // how much
	next    [2]int  // what people need once they have bought here
}

var categories = [...]category{
	{"Kitchen", [3]string{"Cookware", "Coffee", "Storage"}, [3][2]string{{"pan", "casserole"}, {"kettle", "grinder"}, {"jar set", "lunch box"}},
		[3][2]string{{"平底锅", "砂锅"}, {"水壶", "咖啡磨"}, {"储物罐", "饭盒"}}, 3900, 340, 0.4, [2]int{11, 1}},
	{"Home", [3]string{"Lighting", "Textiles", "Decor"}, [3][2]string{{"lamp", "lantern"}, {"blanket", "curtain"}, {"vase", "mirror"}},
		[3][2]string{{"台灯", "灯笼"}, {"毛毯", "窗帘"}, {"花瓶", "镜子"}}, 4500, 300, 0.3, [2]int{9, 0}},
	{"Fashion", [3]string{"Women", "Men", "Accessories"}, [3][2]string{{"dress", "blouse"}, {"shirt", "jacket"}, {"scarf", "belt"}},
		[3][2]string{{"连衣裙", "衬衫"}, {"男衬衫", "夹克"}, {"围巾", "皮带"}}, 5200, 110, 0.5, [2]int{3, 5}},
	{"Shoes", [3]string{"Sneakers", "Boots", "Sandals"}, [3][2]string{{"sneakers", "running shoes"}, {"boots", "ankle boots"}, {"sandals", "slippers"}},
		[3][2]string{{"运动鞋", "跑鞋"}, {"靴子", "短靴"}, {"凉鞋", "拖鞋"}}, 7400, 270, 0.4, [2]int{2, 6}},
	{"Electronics", [3]string{"Phones", "Audio", "Computing"}, [3][2]string{{"phone", "charger"}, {"headphones", "speaker"}, {"keyboard", "monitor"}},
		[3][2]string{{"手机", "充电器"}, {"耳机", "音箱"}, {"键盘", "显示器"}}, 14900, 335, 0.6, [2]int{4, 8}},
	{"Beauty", [3]string{"Skin", "Hair", "Make-up"}, [3][2]string{{"face cream", "serum"}, {"shampoo", "hair oil"}, {"lipstick", "mascara"}},
		[3][2]string{{"面霜", "精华液"}, {"洗发水", "护发油"}, {"口红", "睫毛膏"}}, 2400, 45, 0.2, [2]int{5, 2}},
	{"Sports", [3]string{"Fitness", "Cycling", "Outdoor"}, [3][2]string{{"yoga mat", "dumbbells"}, {"helmet", "bike light"}, {"tent", "rucksack"}},
		[3][2]string{{"瑜伽垫", "哑铃"}, {"头盔", "车灯"}, {"帐篷", "背包"}}, 5900, 150, 0.6, [2]int{3, 11}},
	{"Toys", [3]string{"Building", "Games", "Plush"}, [3][2]string{{"brick set", "train set"}, {"board game", "puzzle"}, {"teddy bear", "doll"}},
		[3][2]string{{"积木", "小火车"}, {"桌游", "拼图"}, {"泰迪熊", "娃娃"}}, 3200, 345, 1.2, [2]int{8, 7}},
	{"Books", [3]string{"Novels", "Cooking", "Travel"}, [3][2]string{{"novel", "thriller"}, {"cookbook", "baking book"}, {"atlas", "travel guide"}},
		[3][2]string{{"小说", "悬疑小说"}, {"菜谱", "烘焙书"}, {"地图册", "旅行指南"}}, 1700, 350, 0.3, [2]int{8, 0}},
	{"Garden", [3]string{"Tools", "Plants", "Furniture"}, [3][2]string{{"spade", "secateurs"}, {"rose bush", "herb pot"}, {"bench", "parasol"}},
		[3][2]string{{"铁锹", "修枝剪"}, {"玫瑰", "香草盆"}, {"长椅", "遮阳伞"}}, 4200, 125, 1.4, [2]int{9, 1}},
	{"Pets", [3]string{"Dogs", "Cats", "Birds"}, [3][2]string{{"dog bed", "lead"}, {"cat tree", "litter box"}, {"bird cage", "feeder"}},
		[3][2]string{{"狗窝", "牵引绳"}, {"猫爬架", "猫砂盆"}, {"鸟笼", "喂食器"}}, 2900, 180, 0.1, [2]int{10, 10}},
	{"Food", [3]string{"Tea", "Snacks", "Oil"}, [3][2]string{{"green tea", "black tea"}, {"nut mix", "chocolate"}, {"olive oil", "vinegar"}},
		[3][2]string{{"绿茶", "红茶"}, {"坚果", "巧克力"}, {"橄榄油", "香醋"}}, 1400, 350, 0.3, [2]int{11, 0}},
}

var (
	brands       = [...]string{"Alder", "Brock", "Cinder", "Dovetail", "Ember", "Fjord", "Grove", "Harrow", "Iris", "Juno", "Kite", "Lumen", "Marlow", "Nori", "Otter", "Pine"}
	adjectives   = [...]string{"light", "classic", "compact", "soft", "solid", "slim", "large", "vintage", "everyday", "premium", "folding", "natural"}
	adjectivesZH = [...]string{"轻便", "经典", "小巧", "柔软", "结实", "纤薄", "大号", "复古", "日常", "高级", "折叠", "天然"}
	tags         = [...]string{"gift", "basic", "limited", "organic", "handmade", "travel", "family", "small-flat"}

	devices   = [...]string{"mobile", "desktop", "tablet"}
	channels  = [...]string{"web", "app"}
	locales   = [...]string{"en-GB", "en-US", "de-DE", "fr-FR"}
	referrers = [...]string{"https://search.example/", "https://social.example/feed", "https://news.example/deals", "https://friends.example/"}
	campaigns = [...]string{"spring_sale", "newsletter_12", "retargeting", "new_arrivals"}
	cities    = [...]string{"Leeds", "Lyon", "Lisbon", "Hamburg", "Shanghai", "Boston", "Turin", "Gdansk"}
)

// The reasons for which shoppers leave, as in the truth.
const (
	leftMoved     = "moved_away"
	leftBad       = "bad_experience"
	leftPrice     = "price"
	leftStockouts = "stockouts"
)

// reason is why a cart was left.
type reason uint8

const (
	reasonDistracted reason = iota
	reasonPrice
	reasonShipping
	reasonComparing
	reasonUndecided
	numReasons
)

var reasonNames = [numReasons]string{"distracted", "price", "shipping", "comparing", "undecided"}
