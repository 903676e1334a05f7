"""What the embedded market writes about its items: a title and a description each, in English or Chinese.

The words come from the item's true vector and quality, so they tell more than its category, brand and tags do: the
adjectives name the two axes on which the vector is strongest, the closing sentence hints at quality. An item speaks one
language only, so a reader of words has to know both.
"""

import re

import numpy as np
import polars as pl

from motet.data.sources.market_world import BRANDS, LANGUAGES, Ints, Items

Words = tuple[str, ...]

ADJECTIVES: dict[str, tuple[tuple[Words, Words], ...]] = {  # per axis: minus pole, plus pole
    "en": (
        (("hand-made", "artisan", "rustic"), ("smart", "connected", "high-tech")),
        (("homely", "cosy", "indoor"), ("outdoor", "rugged", "open-air")),
        (("thrifty", "low-cost", "no-frills"), ("luxurious", "premium", "exclusive")),
        (("calm", "quiet", "soothing"), ("lively", "energetic", "fast-paced")),
        (("personal", "solo", "private"), ("family", "shared", "all-ages")),
        (("classic", "timeless", "traditional"), ("novel", "experimental", "trend-setting")),
    ),
    "zh": (
        (("手工", "匠心", "质朴"), ("智能", "互联", "高科技")),
        (("居家", "温馨", "室内"), ("户外", "硬朗", "野外")),
        (("省钱", "平价", "简约"), ("奢华", "高端", "尊享")),
        (("安静", "舒缓", "宁静"), ("活力", "动感", "快节奏")),
        (("个人", "独处", "私享"), ("亲子", "家庭", "老少皆宜")),
        (("经典", "隽永", "传统"), ("新奇", "前卫", "潮流")),
    ),
}
NOUNS: dict[str, tuple[Words, ...]] = {  # per category
    "en": (
        ("headphones", "speaker", "turntable"),
        ("frying pan", "kettle", "knife set"),
        ("tent", "sleeping bag", "camp stove"),
        ("jacket", "sneakers", "handbag"),
        ("building set", "puzzle", "toy train"),
        ("novel", "cookbook", "picture book"),
        ("face cream", "perfume", "lipstick"),
        ("yoga mat", "dumbbells", "running shoes"),
        ("pruning shears", "flower pots", "watering can"),
        ("smartwatch", "drone", "tablet"),
        ("recipe", "cooking class", "menu plan"),
        ("travel guide", "trip diary", "city walk"),
        ("product test", "buyer's guide", "first look"),
        ("playlist", "live session", "album review"),
        ("parenting column", "bedtime story", "school guide"),
        ("sketch show", "stand-up set", "comic strip"),
        ("market report", "savings guide", "tax explainer"),
        ("match report", "training plan", "player interview"),
    ),
    "zh": (
        ("耳机", "音箱", "唱片机"),
        ("煎锅", "水壶", "刀具套装"),
        ("帐篷", "睡袋", "露营炉"),
        ("夹克", "运动鞋", "手提包"),
        ("积木", "拼图", "玩具火车"),
        ("小说", "烹饪书", "绘本"),
        ("面霜", "香水", "口红"),
        ("瑜伽垫", "哑铃", "跑鞋"),
        ("修枝剪", "花盆", "洒水壶"),
        ("智能手表", "无人机", "平板电脑"),
        ("食谱", "烹饪课", "菜单"),
        ("旅行指南", "游记", "城市漫步"),
        ("产品评测", "选购指南", "上手体验"),
        ("歌单", "现场演出", "专辑评论"),
        ("育儿专栏", "睡前故事", "入学指南"),
        ("小品", "脱口秀", "漫画"),
        ("市场报告", "理财指南", "税务解读"),
        ("比赛报道", "训练计划", "球员专访"),
    ),
}
CLOSING: dict[str, tuple[Words, Words, Words]] = {  # poor, fair, good
    "en": (
        ("Early reactions were mixed.", "Some had hoped for more.", "Not everyone was convinced."),
        ("It does what it should.", "A sound choice.", "Most were satisfied."),
        ("People were full of praise.", "Outstanding in every detail.", "Many call it the best of its sort."),
    ),
    "zh": (
        ("初期反响褒贬不一。", "有人期望更高。", "并非人人满意。"),
        ("表现中规中矩。", "稳妥之选。", "多数人表示满意。"),
        ("好评如潮。", "细节出众。", "被誉为同类最佳。"),
    ),
}
BRANDS_ZH = (
    *("桤木", "明泉", "钴蓝", "丹摩", "常青", "芬威", "伽利略", "港湾", "伊索拉", "杜松", "红隼", "流明"),
    *("马洛", "北境", "兰花", "松林", "寰宇周刊", "蓝水壶", "城际线", "破晓", "余烬工坊", "田野笔记", "环球六", "炉边"),
)
SLOT = r"\{(\w+)\}"
TITLES: dict[str, Words] = {
    "en": ("{brand} {first} {noun}", "{first} {noun} by {brand}"),
    "zh": ("{brand}{first}{noun}", "{first}{noun}｜{brand}"),
}
DESCRIPTIONS: dict[str, Words] = {
    "en": (
        "From {brand}: {noun}, {first} and {second}. {closing}",
        "{brand} presents {noun} for those who like it {first} and {second}. {closing}",
    ),
    "zh": (
        "{brand}出品的{noun}，{first}又{second}。{closing}",
        "喜欢{first}和{second}的人，请看{brand}的{noun}。{closing}",
    ),
}
WORD_NOISE, CLOSING_NOISE, CLOSING_EDGES = 0.2, 0.4, (-0.45, 0.45)


def describe(items: Items, rng: np.random.Generator) -> pl.DataFrame:
    """One row per item: title and description in the item's language."""
    noisy = items.vector + WORD_NOISE * rng.normal(size=items.vector.shape)
    strongest = np.argsort(-np.abs(noisy), axis=1, kind="stable")[:, :2]
    positive = (np.take_along_axis(noisy, strongest, axis=1) > 0).astype(np.int64)
    adjective = (strongest * 2 + positive) * 3 + rng.integers(3, size=strongest.shape)
    closing = np.digitize(items.quality + CLOSING_NOISE * rng.normal(size=items.count), CLOSING_EDGES)
    noun = items.category * 3 + rng.integers(3, size=items.count)
    closing = closing * 3 + rng.integers(3, size=items.count)
    template = rng.integers(2, size=items.count)
    words = {language: _words(language, items, adjective, noun, closing) for language in LANGUAGES}
    drawn = pl.DataFrame({"choice": items.language * 2 + template}).hstack([s for w in words.values() for s in w])
    return drawn.select(_render(TITLES).alias("title"), _render(DESCRIPTIONS).alias("description"))


def _words(language: str, items: Items, adjective_J2: Ints, noun_J: Ints, closing_J: Ints) -> list[pl.Series]:
    """The word of each slot for each item, as columns named `language.slot`."""
    adjectives = [word for axis in ADJECTIVES[language] for pole in axis for word in pole]
    slots = {
        "brand": (BRANDS if language == "en" else BRANDS_ZH, items.brand),
        "first": (adjectives, adjective_J2[:, 0]),
        "second": (adjectives, adjective_J2[:, 1]),
        "noun": ([word for row in NOUNS[language] for word in row], noun_J),
        "closing": ([phrase for row in CLOSING[language] for phrase in row], closing_J),
    }
    return [pl.Series(list(words)).gather(index).alias(f"{language}.{slot}") for slot, (words, index) in slots.items()]


def _render(templates: dict[str, Words]) -> pl.Expr:
    """Fill the template that each item drew, in its language, beginning with a capital."""
    forms = [(language, form) for language in LANGUAGES for form in templates[language]]
    filled = [
        pl.when(pl.col("choice") == number).then(
            pl.format(re.sub(SLOT, "{}", form), *(f"{language}.{slot}" for slot in re.findall(SLOT, form)))
        )
        for number, (language, form) in enumerate(forms)
    ]
    text = pl.coalesce(filled)
    return text.str.slice(0, 1).str.to_uppercase() + text.str.slice(1)
