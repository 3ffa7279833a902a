"""Everyday prose by a small grammar: as much as a training wants, about no fact of any audit, and nobody's property.

A text has a genre, a few things that it stays with from its first sentence to its last, an opening, some sentences in
any order, and a close. No word is a name: nothing but the first word of a sentence is written large.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

_SLOT = re.compile(r"{(\w+)}")
_OF_A_KIND = 3
"""Words of one kind that a text can hold."""
_ARTICLE = re.compile(r"\b([Aa]) (?=[aeiou])")

# fmt: off
WORDS: Mapping[str, tuple[str, ...]] = {
    "weather": ("a thin fog", "steady rain", "a dry east wind", "light snow", "a late frost", "heavy dew", "warm sun",
                "a short shower", "a clear sky", "sleet", "a hot spell", "drifting cloud", "a cold draught", "hail"),
    "time": ("at dawn", "before noon", "in the early evening", "after lunch", "around midnight", "by the weekend",
             "in late autumn", "at the start of spring", "during the harvest", "on the shortest day", "every morning",
             "once a month", "in the middle of winter", "at high tide", "at the end of the shift"),
    "place": ("the harbour", "the north slope", "the old orchard", "the market square", "the boat shed", "the kitchen",
              "the greenhouse", "the railway yard", "the river bank", "the workshop", "the upper meadow", "the cellar",
              "the reading room", "the tram stop", "the quarry", "the bakery", "the salt marsh", "the school yard"),
    "material": ("oak", "linen", "clay", "copper", "wool", "slate", "leather", "glass", "birch", "brass", "paper",
                 "cork", "granite", "rope", "tin", "felt", "willow", "plaster", "iron", "beeswax"),
    "tool": ("chisel", "ladle", "rake", "spirit level", "needle", "plane", "whisk", "spade", "file", "brush", "pulley",
             "ruler", "sieve", "vice", "trowel", "hand drill", "funnel", "mallet", "tape measure", "scraper"),
    "thing": ("bench", "basket", "gate", "kettle", "lantern", "drawer", "barrel", "shelf", "window frame", "pump",
              "wheelbarrow", "stool", "clock", "ladder", "crate", "boat", "oven", "chimney", "bicycle", "water tank"),
    "food": ("barley", "leeks", "plums", "rye bread", "lentils", "carrots", "goat cheese", "beetroot", "oats", "pears",
             "mushrooms", "onions", "white beans", "honey", "cabbage", "trout", "hazelnuts", "potatoes", "quinces"),
    "dish": ("soup", "stew", "flat bread", "salad", "pie", "porridge", "pickle", "jam", "omelette", "broth", "cake"),
    "animal": ("heron", "hedgehog", "swallow", "otter", "bumblebee", "toad", "barn owl", "hare", "starling", "newt",
               "goat", "donkey", "beetle", "wren", "badger", "trout", "snail", "bat", "spider", "field mouse"),
    "plant": ("moss", "nettle", "foxglove", "clover", "bracken", "alder", "thistle", "ivy", "reed", "juniper", "sorrel",
              "hawthorn", "yarrow", "lichen", "elder", "heather", "plantain", "rowan", "mint", "dandelion"),
    "person": ("a baker", "the gardener", "an old neighbour", "the ferry crew", "a student", "the night nurse",
               "a carpenter", "two cousins", "the librarian", "a bus driver", "the choir", "a surveyor", "the cook",
               "a plumber", "the postal clerk", "a child", "the beekeeper", "a visitor", "the glazier", "a tailor"),
    "quality": ("rough", "even", "brittle", "heavy", "smooth", "damp", "pale", "hollow", "narrow", "warm", "dull",
                "tight", "loose", "bright", "coarse", "soft", "crooked", "plain", "thick", "faint"),
    "number": ("three", "four", "five", "six", "seven", "eight", "nine", "eleven", "twelve", "fifteen", "twenty",
               "thirty", "forty", "sixty", "ninety"),
    "unit": ("minutes", "hours", "days", "steps", "turns", "cups", "metres", "handfuls", "rows", "weeks", "pages"),
    "colour": ("grey", "ochre", "dark green", "white", "rust red", "deep blue", "amber", "black", "silver", "brown"),
    "sound": ("a low hum", "a click", "a sharp crack", "a whistle", "a slow drip", "a rattle", "a thud", "a murmur"),
    "feeling": ("patience", "relief", "surprise", "doubt", "pride", "calm", "curiosity", "boredom", "worry", "delight"),
    "subject": ("tides", "friction", "yeast", "erosion", "echoes", "magnets", "evaporation", "shadows", "levers",
                "rust", "pollen", "fog", "soap bubbles", "glaciers", "pendulums", "compost", "static", "buoyancy",
                "rainbows"),
}
# fmt: on


@dataclass(frozen=True, kw_only=True, slots=True)
class Genre:
    """Sentences of one kind of text; a slot means the same thing throughout a text, `{thing2}` another one."""

    openings: tuple[str, ...]
    middles: tuple[str, ...]
    closes: tuple[str, ...]


GENRES = (
    Genre(  # how something is made
        openings=(
            "To make a {thing} from {material}, begin with a {quality} piece and a {tool}.",
            "A {thing} of {material} takes about {number} {unit} to put together.",
            "Most people who build a {thing} for the first time cut the {material} too short.",
            "There are {number} ways to join {material}, and only one of them needs a {tool}.",
        ),
        middles=(
            "Mark the {material} with a pencil, never with the {tool}.",
            "If the edge feels {quality}, go over it again {number} times.",
            "Let the pieces rest for {number2} {unit} so that they settle.",
            "A {tool2} will do as well, provided that it is clean.",
            "The grain should run toward the {thing}, not across it.",
            "When the joint gives {sound}, stop and look underneath.",
            "Rub the surface with {material2} until it looks {colour}.",
            "Keep the offcuts: they make good wedges for a {thing2}.",
            "Work in {place}, where the light comes from one side.",
        ),
        closes=(
            "The result is {quality2}, but it will hold.",
            "With some {feeling} the second one goes faster.",
            "Hang the {tool} back where it was, and sweep the floor.",
            "After {number2} {unit} it can carry weight.",
        ),
    ),
    Genre(  # cooking
        openings=(
            "For this {dish} you need {food}, {food2} and a pan that is wider than it is deep.",
            "A {dish} of {food} tastes better when it has stood for a while.",
            "Wash the {food} well, because sand hides in it.",
            "In our house {dish} was made {time}, with whatever {food} there was.",
        ),
        middles=(
            "Cut the {food2} into pieces of the same size so that they cook alike.",
            "Add the {food} only when the water moves.",
            "Stir {number} times, then leave it alone.",
            "Salt draws water out of {food2}, so wait with it.",
            "If it looks {quality}, thin it with a cup of warm water.",
            "Toast a few {food3} in a dry pan until they smell of bread.",
            "The lid stays on for {number2} minutes and comes off for the last two.",
            "Some cooks strain it through a {tool}; it is not needed.",
            "Keep the heat low: a hard boil makes {food} {quality2}.",
        ),
        closes=(
            "Serve it warm, with the {food3} on top.",
            "What is left keeps for {number2} days in a cold place.",
            "It is a {quality} meal, and a cheap one.",
            "Nobody leaves the table hungry.",
        ),
    ),
    Genre(  # nature
        openings=(
            "The {animal} comes to {place} {time}.",
            "Where {plant} grows, the ground is usually {quality}.",
            "It is easy to walk past a {animal} without seeing it.",
            "After {weather} the {plant} along {place} looks {colour}.",
        ),
        middles=(
            "It feeds on what it finds between the {plant} and the stones.",
            "Its call is {sound}, repeated every {number} seconds.",
            "A {animal2} will chase it off if the two of them meet.",
            "In {weather} it stays under the {plant2}.",
            "The young leave after {number2} weeks.",
            "Seeds of {plant2} stick to its feet and travel with it.",
            "You can tell by the {colour} mark near the edge.",
            "By the middle of the season only {number} are left.",
            "The roots reach down about {number2} hand widths.",
        ),
        closes=(
            "Counting them takes {feeling} more than skill.",
            "Next year the {plant} will stand a little further along.",
            "Then {place} is quiet again.",
            "Nobody planted it, and nobody minds it.",
        ),
    ),
    Genre(  # a small event
        openings=(
            "{time}, {person} stopped at {place} and put down a {thing}.",
            "There was {weather}, and {person} had forgotten the {tool}.",
            "{person} has kept the same {thing} for {number} years.",
            "Nobody at {place} expected {weather} that day.",
        ),
        middles=(
            "The {thing} was {quality} and smelled of {material}.",
            "{person2} came by and asked how long it would take.",
            "From somewhere behind {place2} came {sound}.",
            "They shared some {food} and talked about the {weather_noun}.",
            "It took {number2} tries before the lid would close.",
            "A {animal} watched from the wall the whole time.",
            "On the ground lay a {tool}, {colour} with age.",
            "They laughed, more from {feeling} than from anything else.",
            "The door to {place2} would not stay shut.",
        ),
        closes=(
            "In the end {person} carried it home.",
            "By then {weather} had passed.",
            "They agreed to meet again in {number2} days.",
            "It was remembered with {feeling}, if at all.",
        ),
    ),
    Genre(  # an explanation
        openings=(
            "People often ask why {subject} behave the way they do.",
            "The simplest way to understand {subject} is to watch a {thing} for a while.",
            "Much of what is said about {subject} is half right.",
            "A lesson on {subject} can begin with nothing more than a {tool} and some {material}.",
        ),
        middles=(
            "Think of {material}: pressed, it gives a little; bent, it pushes back.",
            "The effect doubles when the distance is halved, up to a point.",
            "In {weather} it happens more slowly than indoors.",
            "A {quality} surface shows it best.",
            "If you wait {number} {unit}, the difference can be measured with a {tool}.",
            "It has nothing to do with how {quality2} the {thing} is.",
            "Older books compare it to a {animal} finding its way back; the picture misleads.",
            "Two causes work against each other, and the weaker one wins in the long run.",
            "Heat helps, but only until the {material} turns {colour}.",
        ),
        closes=(
            "That is all there is to it, apart from the sums.",
            "The rest follows from care and {feeling}.",
            "Try it with {material2} instead, and compare.",
            "So the common answer is true of the large case and false of the small one.",
        ),
    ),
    Genre(  # advice on upkeep
        openings=(
            "A {thing} that stands outdoors should be looked at {time}.",
            "When a {thing} begins to make {sound}, the cause is rarely where one looks first.",
            "Good {material} lasts if it is kept dry.",
            "The list beside {place} has {number} points, and the first is the one that everybody skips.",
        ),
        middles=(
            "Wipe it with a cloth and a little oil.",
            "Check whether the underside is {quality}.",
            "Replace the {material2} before it turns {colour}.",
            "Do not force it with a {tool}; warm it first.",
            "Note the date, and come back after {number2} {unit}.",
            "Anything {quality2} goes into the bin behind {place}.",
            "Moisture collects where {material} meets {material2}.",
            "Two people lift it more safely than one.",
            "Leave a gap as wide as a finger for the air.",
        ),
        closes=(
            "Done like this, it needs no further thought until the next season.",
            "A {thing2} is treated in the same way.",
            "If in doubt, ask {person}.",
            "It costs {number2} minutes and saves a new one.",
        ),
    ),
    Genre(  # a description of a place
        openings=(
            "Behind {place} there is a path that hardly anybody uses.",
            "{place} has {number} windows, and each of them faces another way.",
            "Whoever comes to {place} {time} finds it empty.",
            "The walls of {place} are built of {material}, up to the height of a {thing}.",
        ),
        middles=(
            "To the left stands a {thing}, {colour} and a little {quality}.",
            "Somebody has left {food} on the sill.",
            "The floor slopes, so that water runs toward {place2}.",
            "With {weather} outside, the room smells of {material2}.",
            "{plant} has grown through the gap under the door.",
            "On a hook hangs a {tool} that no one has claimed.",
            "At times one hears {sound} from {place2}.",
            "A {animal} has made its home above the beam.",
            "It is {number2} steps from one end to the other.",
        ),
        closes=(
            "In the evening the light is {colour}, and then gone.",
            "There are plans to repair it; there have always been.",
            "One leaves it with a certain {feeling}.",
            "Nothing about it has changed in {number2} years.",
        ),
    ),
)


@lru_cache(maxsize=4)
def everyday_texts(count: int, *, seed: int = 0) -> tuple[str, ...]:
    """So many different texts of five to eight sentences; the same for the same seed, and more with a larger count."""
    draws = random.Random(seed)  # noqa: S311 - prose, not a secret
    found: dict[str, None] = {}
    while len(found) < count:
        found.setdefault(_text(draws))
    return tuple(found)


def _text(draws: random.Random) -> str:
    genre = draws.choice(GENRES)
    middles = draws.sample(genre.middles, draws.randint(3, 6))
    frames = [draws.choice(genre.openings), *middles, draws.choice(genre.closes)]
    order = {kind: draws.sample(words, _OF_A_KIND) for kind, words in WORDS.items()}
    return " ".join(_sentence(frame, order) for frame in frames)


def _sentence(frame: str, order: Mapping[str, list[str]]) -> str:
    filled = _ARTICLE.sub(r"\1n ", _SLOT.sub(lambda slot: _word(slot[1], order), frame))
    return filled[0].upper() + filled[1:]


def _word(slot: str, order: Mapping[str, list[str]]) -> str:
    if slot == "weather_noun":
        return order["weather"][0].removeprefix("a ")
    kind = slot.rstrip("0123456789")
    return order[kind][int(slot[len(kind) :] or 1) - 1]
