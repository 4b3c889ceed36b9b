"""Whole conversations for training: topics of the corpus files, worked-out answers, names, noise."""

import random
import re

import sums
from grammar import Topic, expand, read_lines, read_topics

FIRST_NAMES = ("Fern Ada Bruno Clara Dora Emil Fritz Greta Hugo Ida Jonas Karl Lena Mila Nora Oskar Paul Rosa Tom Anna Ben "
               "Carla David Eva Felix Gina Hanna Ivan Julia Kim Leo Maria Nina Otto Peter Quinn Rita Sam Tina Uma Vera Willow "
               "Xaver Yara Zoe Alice Bob Charlie Daisy Basil Hazel Ivy Jasmine Olive Poppy Rose Sage Violet Ash Bean Clover "
               "Max Luna Oscar Ruby Nova Atlas Echo Pixel Robin Jack Emma Liam Noah Mia Ella Lucas Ethan Sophie John Jane").split()
SYLLABLES = ("ba be bi bo bu da de di do du fa fe fi fo ga ge gi go ha he hi ho ja jo ka ke ki ko ku la le li lo lu ma me mi "
             "mo mu na ne ni no nu pa pe pi po ra re ri ro ru sa se si so su ta te ti to tu va ve vi vo wa wi za ze zo bra "
             "cla dro fle gri kla plo sta tri").split()
NAMING = ("(you are|you're) (called|named) {n}", "your name is {n}", "you are {n}", "you are {n}, (a|an) {kind}",
          "you are (a|an) {kind} (called|named|whose name is) {n}", "act as {n}", "call yourself {n}", "answer as {n}",
          "from now on you are {n}", "you are (called|named) {n}. (be brief|be kind|answer briefly|answer in whole sentences|help the user)",
          "your name is {n}. you are (a|an) {kind}", "you go by the name [of] {n}", "the assistant is called {n}", "{n} is your name",
          "people call you {n}", "you play the role of {n}", "(this|here) is {n}, (a|an) {kind}", "assistant name: {n}", "name: {n}",
          "you are (a|an) {kind}. your name is {n}", "introduce yourself as {n}", "you are known as {n}", "you answer to the name {n}",
          "pretend (to be|that your name is|that you are) {n}")
KINDS = ("assistant", "helpful assistant", "friendly assistant", "gardener", "robot", "helper", "teacher", "guide", "librarian", "kind helper",
         "polite assistant", "small model", "cheerful bot", "chat bot", "wise tree", "old gardener", "expert", "smart assistant", "pirate")
GENERIC = ("you are a {kind}", "be (brief|kind|helpful|polite|honest|clear|short)", "answer (briefly|in one sentence|in whole sentences|clearly|politely)",
           "you are a helpful assistant", "you are a helpful assistant", "you are a helpful, honest and harmless assistant",
           "help the user", "answer the questions of the user", "keep (your|the) answers short", "speak english",
           "you help people who use espalier", "be concise", "today is a good day", "you are an ai assistant")
RENAME = ("from now on your name is {n}", "(i will|let me|can i|i want to) call you {n}", "your name is now {n}", "your new name is {n}", "be {n}",
          "now you are called {n}", "please call yourself {n}", "you are {n} now", "let us say your name is {n}", "i name you {n}")
USER_NAME = ("my name is {n}", "i am {n}", "i'm {n}", "call me {n}", "(hello|hi|hey), (i am|my name is|i'm|this is) {n}", "you can call me {n}",
             "my name's {n}", "(people|my friends) call me {n}", "the name is {n}", "i am called {n}", "this is {n}", "{n} is my name", "please call me {n}")
ASK_USER_NAME = ("what is my name", "what's my name", "do you (know|remember) my name", "who am i", "tell me my name", "what did i say my name was",
                 "can you remember my name", "what am i called", "say my name", "(my name|and my name)", "how am i called", "what was my name [again]",
                 "did you remember my name", "do you still know my name", "do you still know who i am", "do you remember who i am", "what do people call me")
REPEAT = ("(say|repeat|write|type) {w}", "(say|repeat|write) the word {w}", "repeat after me: {w}", "(can you|please|could you|now) (say|repeat) {w}",
          "say (just|only) {w}", "say {w} (please|to me|for me)", "answer with the word {w}", "echo {w}", "just write {w}", "repeat this: {w}",
          "reply with [the word] {w}")
REPEATED = ("apple banana orange tree frame leaf branch river stone cloud green yellow purple seven window table garden winter summer music "
            "cluster rust sprout lantern candle metal copper silver violin planet rocket coffee sugar pepper tiger rabbit").split()
GREETINGS = ("hey, ", "hi, ", "hello, ", "please ", "please tell me, ", "tell me, ", "tell me ", "can you tell me ", "could you tell me ",
             "i want to know ", "i would like to know ", "i wonder ", "quick question: ", "question: ", "excuse me, ", "sprout, ", "say, ",
             "i have a question: ", "just curious, ", "do you know ")
TYPO_KEYS = "abcdefghijklmnopqrstuvwxyz"
# How often each kind of subject comes: in each part of the training, and where a system prompt gives a name.
FIRST_WEIGHTS = {"espalier": 25, "concepts": 21, "smalltalk": 11, "who": 2, "unknown": 6, "sum": 13, "count": 7, "day": 6,
                 "follow": 1, "rename": 1.5, "user": 2.5, "repeat": 1}
FOCUSED_WEIGHTS = {"espalier": 24, "concepts": 17, "smalltalk": 10, "who": 2, "unknown": 4, "sum": 17, "count": 9, "day": 8,
                   "follow": 1, "rename": 2, "user": 5, "repeat": 1}
LAST_WEIGHTS = {"espalier": 23, "concepts": 15, "smalltalk": 9, "who": 2, "unknown": 4, "sum": 30, "count": 16, "day": 9,
                "follow": 1, "rename": 1, "user": 4, "repeat": 1}
PART_WEIGHTS = [FIRST_WEIGHTS, FOCUSED_WEIGHTS, LAST_WEIGHTS]
NAMED_WEIGHTS = {"espalier": 8, "concepts": 6, "smalltalk": 12, "who": 40, "unknown": 2, "sum": 4, "count": 3, "day": 3,
                 "follow": 0, "rename": 1, "user": 2, "repeat": 1}
DROPPABLE = {"the", "a", "an", "do", "does", "is", "of", "to", "please", "it", "are"}


class Corpus:
    """Draws documents: a system prompt or none, and one to four turns."""

    def __init__(self, seed: int):
        self.rng = random.Random(seed)
        self.part = 0  # of the training: an index into PART_WEIGHTS
        self.espalier, _ = read_topics("espalier.txt")
        self.concepts, _ = read_topics("concepts.txt")
        self.smalltalk, _ = read_topics("smalltalk.txt")
        unknown, self.lists = read_topics("unknown.txt")
        self.unknown = unknown[0]
        self.define = read_lines("define.txt")
        self.noise = Noise(self.rng)
        by_answer = {topic.answer: topic for topic in self.smalltalk}
        self.hello = by_answer["Hello! I am {name}. How can I help you?"]
        self.own_name = by_answer["My name is {name}."]
        self.who_unnamed = next(topic for topic in self.smalltalk if topic.only_unnamed)
        self.who_named = next(topic for topic in self.smalltalk if topic.only_named)

    def name(self) -> str:
        """A first name, or an invented one so that names must be copied and cannot be learned by heart."""
        if self.rng.random() < 0.3:
            return self.rng.choice(FIRST_NAMES)
        return "".join(self.rng.choice(SYLLABLES) for _ in range(self.rng.randint(2, 4))).capitalize()

    def written(self, name: str) -> str:
        """The name as somebody might type it: a common one now and then without its capital."""
        return name.lower() if name in FIRST_NAMES and self.rng.random() < 0.15 else name

    def ask(self, topic: Topic, named: bool) -> str:
        lines = topic.questions + (topic.only_named if named else topic.only_unnamed)
        if topic.terms and (not lines or self.rng.random() < 0.65):
            return expand(self.rng.choice(self.define).replace("{t}", self.rng.choice(topic.terms)), self.rng)
        return expand(self.rng.choice(lines), self.rng)

    def turns(self, name: str | None) -> list[tuple[str, str]]:
        """One turn on any subject, or several that belong together."""
        rng = self.rng
        weights = NAMED_WEIGHTS if name is not None else PART_WEIGHTS[self.part]
        kind = rng.choices(list(weights), list(weights.values()))[0]
        if kind == "sum":
            return [sums.arithmetic(rng)]
        if kind == "count":
            return [sums.counting(rng)]
        if kind == "day":
            return [sums.days(rng)]
        if kind == "follow":
            return sums.days_follow_up(rng)
        if kind == "repeat":
            word = rng.choice([rng.choice(REPEATED), self.name().lower()])
            return [(expand(rng.choice(REPEAT), rng).format(w=word), f"{word.capitalize()}.")]
        if kind == "rename":
            new = self.name()
            return [(expand(rng.choice(RENAME), rng).format(n=self.written(new)), f"All right, my name is {new}."),
                    (self.ask(self.own_name, True), f"My name is {new}.")]
        if kind == "user":
            return self.user_name()
        if kind == "unknown":
            lists = {key: rng.choice(words) for key, words in self.lists.items()}
            return [(expand(rng.choice(self.unknown.questions), rng).format(**lists), self.unknown.answer)]
        if kind == "who":
            topic = rng.choice([self.hello, self.own_name, self.own_name, self.own_name,
                                self.who_unnamed if name is None else self.who_named])
        else:
            topic = rng.choice({"espalier": self.espalier, "concepts": self.concepts, "smalltalk": self.smalltalk}[kind])
            if topic.only_unnamed and name is not None:
                topic = self.own_name
            if topic.only_named and name is None:
                topic = self.who_unnamed
        called = name or "Sprout"
        return [(self.ask(topic, name is not None).replace("{name}", called), topic.answer.replace("{name}", called))]

    def user_name(self) -> list[tuple[str, str]]:
        rng, own = self.rng, self.name()
        if rng.random() < 0.2:
            question = rng.choice([ask for ask in ASK_USER_NAME if "who" not in ask])
            return [(expand(question, rng), "You have not told me your name.")]
        told = (expand(rng.choice(USER_NAME), rng).format(n=self.written(own)), f"Nice to meet you, {own}.")
        asked = (expand(rng.choice(ASK_USER_NAME), rng), f"Your name is {own}.")
        return [told, asked] if rng.random() < 0.85 else [told]

    def document(self) -> list[tuple[str, str]]:
        """(role, text) pairs, or a single ("text", text) without roles."""
        rng = self.rng
        if rng.random() < 0.03:
            answers = rng.sample(self.espalier + self.concepts, rng.randint(2, 4))
            return [("text", " ".join(topic.answer for topic in answers))]
        name, document = None, []
        draw = rng.random()
        if draw < 0.17:
            name = self.name()
            system = expand(rng.choice(NAMING).replace("{kind}", rng.choice(KINDS)), rng).replace("{n}", self.written(name))
        elif draw < 0.30:
            system = expand(rng.choice(GENERIC).replace("{kind}", rng.choice(KINDS)), rng)
        if draw < 0.30:
            document.append(("system", polish(system, rng, ".")))
        for _ in range(rng.choices([1, 2, 3], [74, 19, 7])[0]):
            for question, answer in self.turns(name):
                document.append(("user", self.noise.apply(question)))
                document.append(("assistant", answer))
        return document


def polish(text: str, rng: random.Random, ending: str) -> str:
    """A capital letter and an ending, mostly."""
    text = re.sub(r"\bespalier\b", "Espalier", text) if rng.random() < 0.7 else text
    if rng.random() < 0.65:
        text = re.sub(r"\bi\b", "I", text)
        text = text[:1].upper() + text[1:]
    return text + rng.choices([ending, "", "!"], [65, 30, 5])[0]


class Noise:
    """Makes a question as somebody might type it: other words, words around it, lost words, slips."""

    def __init__(self, rng: random.Random):
        self.rng = rng
        self.fillers = read_lines("fillers.txt")
        self.synonyms = {}
        for line in read_lines("synonyms.txt"):
            word, others = line.split(": ", 1)
            self.synonyms[word] = others.split("; ")

    def apply(self, question: str) -> str:
        rng = self.rng
        if rng.random() < 0.35:
            chance = rng.choice([0.15, 0.4])
            question = " ".join(rng.choice(self.synonyms[word]) if word in self.synonyms and rng.random() < chance else word
                                for word in question.split(" "))
        words = question.split(" ")
        if len(words) > 3 and rng.random() < 0.12:
            words = self.without_some(words)
        if rng.random() < 0.07:
            at = rng.randrange(len(words))
            words[at] = self.misspelled(words[at])
        text = " ".join(words)
        if rng.random() < 0.12:
            text = text.replace("what is ", "what's ", 1).replace("do not", "don't").replace("i am ", "i'm ", 1)
        draw = rng.random()
        if draw < 0.10:
            text = rng.choice(GREETINGS) + text
        elif draw < 0.26:
            text = expand(rng.choice(self.fillers), rng).replace("{q}", text)
        asks = re.match(r"(.*[,:] )?(what|which|who|where|when|why|how|is|are|do|does|can|could|will|may|should|under|at|on|if)\b", text)
        if rng.random() < 0.02 and text.islower():
            return text.upper()
        return polish(text, rng, "?" if asks else ".")

    def without_some(self, words: list[str]) -> list[str]:
        """Mostly the small words go, sometimes any."""
        small = self.rng.random() < 0.7
        kept = [word for word in words if self.rng.random() < (0.5 if word in DROPPABLE else 1.0 if small or not word.isalpha() else 0.85)]
        return kept if len(kept) > 1 else words

    def misspelled(self, word: str) -> str:
        if len(word) <= 3 or not word.isalpha() or not word[0].islower():
            return word
        at = self.rng.randrange(1, len(word) - 1)
        return self.rng.choice([word[:at] + word[at + 1:], word[:at] + word[at + 1] + word[at] + word[at + 2:],
                                word[:at] + word[at] + word[at:], word[:at] + self.rng.choice(TYPO_KEYS) + word[at + 1:]])
