"""What column names say: their words in many spellings and languages, and the vocabularies that give them meaning."""

import re
from collections.abc import Iterable


def _vocabulary(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _ranked(text: str) -> tuple[str, ...]:
    return tuple(text.split())


ID = _vocabulary("id ids key code no nr number hash idx index token uuid guid 编号 标识 号")
USER = _vocabulary(
    "user uid usr member customer client visitor consumer shopper viewer reader listener subscriber buyer account "
    "person patron reviewer rater usuario cliente utilisateur nutzer benutzer kunde mitglied utente 用户 会员 "
    "顾客 客户"
)
ITEM = _vocabulary(
    "item iid video vid photo movie film mid product prod pid sku asin isbn article artikel news song track "
    "artist ad aid creative book game goods good post note listing content doc document recipe hotel poi business "
    "restaurant offer merchandise podcast episode show program course job clip story thread artículo articulo "
    "producto produit produkt prodotto livre buch 商品 物品 视频 文章 新闻 歌曲 产品"
)
TIME = _vocabulary(
    "time timestamp ts date datetime day at created unix epoch when moment clock zeit datum zeitpunkt fecha hora "
    "heure data tiempo 时间 日期 时间戳"
)
ORDER = _vocabulary("order step seq sequence index idx rank turn t bin nr no number position row")

SCENARIO = _ranked(
    "scenario scene szenario escenario scénario 场景 surface oberfläche domain tab channel kanal canal 频道 渠道 "
    "placement module entry entrypoint feed page platform 平台 device 设备 site source medium campaign app screen"
)
"""Best first: the earlier word wins where several columns could be the scenario."""
SURE_SCENARIO = frozenset(SCENARIO[: SCENARIO.index("placement")])

REQUEST = _vocabulary("request req search query slate list pageview exposure impression imp serve 请求")
POSITION = _vocabulary("position pos rank slot place ranking 位置")
PROPENSITY = _vocabulary("propensity pscore")
SPLIT = _vocabulary("split fold subset partition phase")

CLICK = _vocabulary("click clicked clk ctr tap open view detail enter visit clic klick geklickt 点击")
CART = _vocabulary("cart atc basket warenkorb panier 加购")
BUY = _vocabulary(
    "buy bought purchase order pay paid payment conversion convert cvr checkout booking book transaction install "
    "download subscribe sale sold deal compra comprado achat kauf gekauft 购买 下单 支付 成交 转化"
)
OUTCOME = (
    CLICK
    | CART
    | BUY
    | _vocabulary(
        "like love thumb upvote downvote vote add follow share forward comment reply save favorite favourite fav "
        "collect watch finish complete long play listen read skip skipped hate dislike report hide block label "
        "target y outcome response reward feedback relevance relevant engage engagement interact interaction "
        "churn rate rating react reaction retweet repost pin bookmark wishlist accept reject apply stay dwell "
        "success 点赞 收藏 关注 分享 评论 喜欢 完播 gefällt megusta"
    )
)
RATING = _vocabulary("rating star score stars grade overall rate points bewertung note valoración puntuación 评分 打分")
SPENT = _vocabulary(
    "play watch watched stay dwell duration spent seconds secs listen read revenue amount gmv sales income profit "
    "spend progress percent percentage completion completed finish depth scroll total quantity qty value earned "
    "payout 时长"
)
"""Amounts that come into being after an impression was shown."""

PAST = _vocabulary("first new previous prior past ever last before history hist repeat returning existing")
"""What makes an outcome a thing of the past: `is_first_visit` is known before the visit is shown anything."""
KNOWN_BEFORE = _vocabulary(
    "weekend weekday holiday hour hourmin minute dow daypart daytime morning evening night day week month season "
    "quarter new vip premium member membership first logged guest ad ads advert sponsored promo promoted "
    "promotion push organic explore exploration random rand personalised personalized male female gender age "
    "active lowactive period streamer author peak mobile device os browser platform network carrier connection "
    "wifi city province region state country locale lang language timezone weather temperature app version screen "
    "resolution referrer referer channel tab surface placement position pos page slot source medium campaign "
    "model brand experiment variant bucket arm group layout stunde wochentag monat stadt land sprache gerät jour "
    "heure semaine ville pays langue hora ciudad país idioma 小时 星期 城市 省份 设备 网络 语言"
)
KIND = _vocabulary("kind type sort")
CODE = _vocabulary(
    "code type level range band feat feature onehot cat category class group cluster segment tier status zip "
    "zipcode postcode postal gender sex region city country brand author seller shop store genre color colour "
    "size kind flag"
)
QUANTITY = _vocabulary(
    "count cnt num number price cost age days hours year month amount rate ratio score avg mean length width "
    "height weight size duration popularity distance salary income fans followers friends total sum ms sec "
    "seconds"
)
TOTAL = _vocabulary("count cnt num number total sum avg average mean rate ratio popularity ctr cvr")

_NUMBERED = re.compile(r"^(.*?)\d+$")
_CJK = r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"


def words(name: str) -> tuple[str, ...]:
    """Lower-case words of a column name: `userId`, `User_ID`, `user-id`, `用户ID`, and RecBole's `user_id:token`."""
    bare = re.sub(r":(token|float|token_seq|float_seq)$", "", name)
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", bare)
    apart = re.sub(f"({_CJK}+)", r" \1 ", apart)
    apart = re.sub("(编号|标识|号)", r" \1 ", apart)
    return tuple(word.lower() for word in re.findall(r"[^\W_]+", apart))


def means(word: str, vocabulary: frozenset[str]) -> bool:
    """Whether the word, or what is left without a plural, past or progressive ending, is in the vocabulary."""
    stems = [word, *(word.removesuffix(end) for end in ("s", "d", "ed", "ing") if word.endswith(end))]
    if numbered := _NUMBERED.match(word):
        stems.append(numbered[1])
    return any(stem in vocabulary for stem in stems)


def any_means(name: Iterable[str], vocabulary: frozenset[str]) -> bool:
    """Whether any word of a name is in the vocabulary."""
    return any(means(word, vocabulary) for word in name)


def names_key(name: tuple[str, ...], vocabulary: frozenset[str]) -> int:
    """2 for `user_id`, `uid`, `userId`; 1 for `user`; 0 for what names no key of the vocabulary (`user_age`)."""
    rest = [word for word in name if word not in ID]
    if len(rest) != 1 or name[0] not in {rest[0], "id"}:
        return 0
    glued = rest[0].removesuffix("id") if rest[0].endswith("id") and len(rest[0]) > 3 else ""
    if glued in vocabulary:
        return 2
    short = rest[0] in {"sku", "asin", "isbn"} or (len(rest[0]) == 3 and rest[0].endswith("id"))
    return (2 if len(rest) < len(name) or short else 1) if means(rest[0], vocabulary) else 0
