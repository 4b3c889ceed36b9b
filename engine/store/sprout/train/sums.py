"""Questions with an answer that is worked out: sums, counting, days and months."""

import random

from grammar import expand

WORDS = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
         "seventeen eighteen nineteen twenty").split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = ("January February March April May June July August September October November December").split()
MONTH_DAYS = dict(zip(MONTHS, [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]))
THINGS = "apples pears cherries nodes macs books coins leaves cups stones cards shards birds plums tokens eggs".split()

ADD = ["[what is|how much is|calculate|compute|what's|tell me|solve] {a} (plus|plus|plus|and) {b}", "{a} + {b}", "{a}+{b}",
       "[what is|how much is|compute|calculate] {a} + {b}", "[what is] {a}+{b} [=]", "add {a} and {b}", "add {b} to {a}",
       "(what is|find|give me|compute|calculate) the sum of {a} and {b}", "the sum of {a} and {b}", "sum {a} and {b}",
       "{a} plus {b} (equals|is|makes|makes what|equals what|is how much)", "(what do|how much do|what does) {a} (plus|and) {b} (make|give|equal)",
       "(what do i get|what do you get) (if|when) (i|you) add {a} (and|to) {b}", "can you add {a} and {b}",
       "i have {a} {things} and (get|find|buy|receive|am given) {b} more, how many [{things}] do i have [now|in total]",
       "there are {a} {things} and {b} (more come|are added|more arrive), how many [{things}] are there [now]",
       "(anna|tom|a man|a girl|she|he) has {a} {things} and gets {b} more, how many [{things}] are that",
       "what is {b} more than {a}", "increase {a} by {b}", "{a} and {b} (together|in total|added)",
       "(what|how much) (would|will|does|do|should|could) {a} (plus|and) {b} (be|make|give|come to|add up to|result in|yield)",
       "(what's|what is|tell me|give me) the (result|total|answer) (of|for) {a} (plus|+|and) {b}", "{a} (plus|+) {b}, (what is that|how much is that|please)",
       "(if|when|suppose) (i|you|we) (add|put) {a} (and|to) {b}[ together], (what is the result|what do i get|what comes out|how much is it)",
       "(work out|figure out|solve|determine|find) {a} (plus|+) {b}", "(i own|we own|she owns|my box holds|my shelf has) {a} {things} and (i buy|she gets|someone brings|we add) {b} more, how many [{things}] are (there|that|there now)",
       "how much do {a} and {b} (make|add up to|give)", "my sum is {a} plus {b}", "help me add {a} and {b}"]
SUBTRACT = ["[what is|how much is|calculate|compute|what's|tell me|solve] {a} minus {b}", "{a} - {b}", "{a}-{b}",
            "[what is|how much is|compute|calculate] {a} - {b}", "[what is] {a}-{b} [=]", "subtract {b} from {a}",
            "take {b} [away] from {a}", "(what is|find|give me|compute) {a} (less|take away) {b}",
            "{a} minus {b} (equals|is|makes|is how much)", "(what is|what remains|what is left) (if|when) (i|you) (take|subtract) {b} from {a}",
            "can you subtract {b} from {a}", "(what is|find|compute) the difference between {a} and {b}",
            "i have {a} {things} and (lose|eat|sell|give away|drop) {b} [of them], how many [{things}] are left",
            "there are {a} {things} and {b} are (taken away|gone|lost), how many [{things}] remain", "decrease {a} by {b}",
            "what is {b} less than {a}", "(what|how much) (would|will|does|do|should) {a} minus {b} (be|make|give|come to|leave|yield)",
            "(what's|what is|tell me|give me) the (result|answer) (of|for) {a} (minus|-|take away) {b}", "{a} (minus|-|take away|less) {b}, (what is that|how much is that|please)",
            "(if|when|suppose) (i|you|we) (subtract|take|remove) {b} from {a}, (what is the result|what do i get|what is left|how much is left)",
            "(work out|figure out|solve|determine|find) {a} (minus|-) {b}", "(i own|we own|she owns|my box holds|the shelf has) {a} {things} and (i sell|she eats|someone takes|we lose) {b}, how many [{things}] (are left|remain|stay)",
            "how much (is left|remains) of {a} (without|minus) {b}", "{a} (take away|less|without) {b}", "remove {b} from {a}"]
MULTIPLY = ["[what is|how much is|calculate|compute|what's|tell me|solve] {a} times {b}", "{a} * {b}", "{a}*{b}", "{a} x {b}",
            "[what is|how much is|compute] {a} (x|*) {b}", "multiply {a} (by|and|with) {b}", "{a} multiplied by {b}",
            "(what is|find|compute) the product of {a} and {b}", "(what is|how much is) {a} multiplied by {b}",
            "{a} times {b} (equals|is|makes)", "(what|how much) (would|will|does|do|should) {a} times {b} (be|make|give|come to|result in|yield)",
            "(what's|what is|tell me|give me) the (result|answer) (of|for) {a} (times|x|*) {b}", "(work out|figure out|solve|determine|find) {a} (times|x|*) {b}",
            "{a} (rows|boxes|bags|shelves) with {b} {things} each, how many [{things}] are that", "{a} groups of {b}", "can you multiply {a} by {b}"]
DIVIDE = ["[what is|how much is|calculate] {a} divided by {b}", "divide {a} by {b}", "{a} / {b}", "[what is] {a}/{b}", "what is half of {a}",
          "how often does {b} go into {a}", "what is the square root of {a}", "{a} to the power of {b}", "what is {b} percent of {a}"]


def number(value: int, rng: random.Random) -> str:
    """Digits, or now and then a word."""
    return WORDS[value] if value <= 20 and rng.random() < 0.2 else str(value)


def arithmetic(rng: random.Random) -> tuple[str, str]:
    kind = rng.choices(["add", "subtract", "multiply", "divide", "big", "compare", "even"], [38, 30, 14, 3, 6, 5, 4])[0]
    a, b = rng.randint(0, 20), rng.randint(0, 20)
    things = rng.choice(THINGS)
    if kind == "subtract" and a < b and rng.random() < 0.8:
        a, b = b, a
    if kind == "multiply":
        a, b = rng.randint(0, 10), rng.randint(0, 10)
    if kind == "big":
        kind = rng.choice(["add", "subtract", "multiply"])
        a, b = rng.choice([rng.randint(21, 999), rng.randint(21, 99), rng.randint(1000, 99999)]), rng.choice([rng.randint(2, 20), rng.randint(21, 999)])
        if rng.random() < 0.4:
            a, b = b, a
        template = {"add": ADD, "subtract": SUBTRACT, "multiply": MULTIPLY}[kind]
        question = expand(rng.choice(template), rng).format(a=a, b=b, things=things)
        return question, "That is too big for me: I work with numbers up to 20."
    names = {"a": number(a, rng), "b": number(b, rng), "things": things}
    if kind == "add":
        return expand(rng.choice(ADD), rng).format(**names), f"{a} plus {b} is {a + b}."
    if kind == "subtract":
        return expand(rng.choice(SUBTRACT), rng).format(**names), f"{a} minus {b} is {a - b}."
    if kind == "multiply":
        return expand(rng.choice(MULTIPLY), rng).format(**names), f"{a} times {b} is {a * b}."
    if kind == "divide":
        return expand(rng.choice(DIVIDE), rng).format(**names), "I can add, subtract and multiply small numbers, but I cannot divide."
    if kind == "even":
        question = expand("(is {a} (even|odd|an even number|an odd number|even or odd)|{a}: even or odd)", rng)
        return question.format(**names), f"{a} is {'odd' if a % 2 else 'even'}."
    if a == b:
        b = (a + 1) % 21
        names["b"] = number(b, rng)
    if rng.random() < 0.6:
        question = "(which|what) [number] is (bigger|larger|greater|more|higher)[:|,] {a} or {b}"
        answer = f"{max(a, b)} is bigger than {min(a, b)}."
    else:
        question = "(which|what) [number] is (smaller|less|lower)[:|,] {a} or {b}"
        answer = f"{min(a, b)} is smaller than {max(a, b)}."
    return expand(question, rng).format(**names), answer


def listing(start: int, end: int, step: int) -> str:
    return ", ".join(str(n) for n in range(start, end + (1 if step > 0 else -1), step))


def counting(rng: random.Random) -> tuple[str, str]:
    kind = rng.choices(["up", "to", "down", "ten", "step", "after", "before", "big"], [30, 18, 22, 5, 6, 10, 6, 3])[0]
    length = rng.choices([rng.randint(1, 12), rng.randint(10, 30), rng.randint(30, 99)], [86, 11, 3])[0]
    low = rng.choice([1, rng.randint(0, min(20, 100 - length)), rng.randint(0, min(20, 100 - length)), rng.randint(0, 100 - length)])
    high = low + length
    if kind == "ten":
        question = expand("([can you|please|do you know how to|could you|are you able to] count|count [for me|something|a little|the numbers]|show me that you can count|i want you to count)", rng)
        return question, f"Counting from 1 to 10: {listing(1, 10, 1)}."
    if kind == "to":
        high = rng.choice([5, 10, 20, 3, 12, 15, 8, 30, length + 1, length + 1, length + 1, rng.choice([40, 50, 100])])
        question = expand("([please|can you|could you|now] count [up|for me] to {b}|count until {b}|count till {b}|(list|name|write|say|tell me|show me) the numbers (up to|to|until) {b}|(list|name|write|say) the first {b} numbers|count the numbers up to {b}|all numbers up to {b}|count all the way to {b}|count from one [up] to {b}|count from 1 [up] to {b}|(let me hear|recite|enumerate|i need) the numbers up to {b})", rng)
        return question.format(b=number(high, rng)), f"Counting from 1 to {high}: {listing(1, high, 1)}."
    if kind == "up":
        question = expand("([please|can you|could you|now] count [up] [from] {a} to {b}|[can you] count from {a} [up] to {b}|count from {a} (until|till|through) {b}|(list|name|write|say|give me|show me|tell me) [all] the numbers (from|between) {a} (to|and|up to) {b}|start at {a} and count [up] to {b}|numbers from {a} to {b}|count upwards from {a} to {b}|go from {a} to {b}|(starting|beginning) (at|with|from) {a}, count [up] to {b}|count [up|upwards|forward] (beginning|starting) (at|with|from) {a} (up to|and stop at|until|to|and end at) {b}|(let me hear|recite|enumerate|i need) the numbers (from|between) {a} (to|and|up to) {b}|begin (at|with) {a} and (stop|end|finish) at {b}|{a} to {b}, count [please]|give me [a list of] [all] [the] numbers from {a} to {b}|what are the numbers (from|between) {a} (to|and) {b})", rng)
        return question.format(a=number(low, rng), b=number(high, rng)), f"Counting from {low} to {high}: {listing(low, high, 1)}."
    if kind == "down":
        if rng.random() < 0.35:
            high = rng.choice([10, 5, 20, 3, length])
            low = 1
            question = expand("([please|can you] count (down|backwards|back) from {a}|countdown from {a}|[start] a countdown (from|starting at|beginning at) {a}|(do|make|give me|i need|run|show me) a countdown (from|starting at|beginning with) {a}|(starting|beginning) at {a}, count (down|backwards|back))", rng)
        else:
            question = expand("([please|can you] count (down|backwards|back|in reverse) from {a} to {b}|count from {a} down to {b}|countdown from {a} to {b}|(list|say|write) the numbers from {a} (down|back) to {b}|starting at {a}, count down to {b}|count {a} down to {b}|count from {a} to {b} backwards|(go|step) (down|back|backwards) from {a} to {b}|count (down|backwards) (beginning|starting) (at|with) {a} (until|to|and end at|and stop at) {b}|a countdown from {a} to {b}|(recite|let me hear) the numbers from {a} back to {b})", rng)
        return question.format(a=number(high, rng), b=number(low, rng)), f"Counting down from {high} to {low}: {listing(high, low, -1)}."
    if kind == "step":
        step = rng.choice([2, 2, 5, 10])
        end = step * rng.randint(3, 10)
        names = {2: "(twos|two|2|2s)", 5: "(fives|five|5|5s)", 10: "(tens|ten|10|10s)"}[step]
        question = expand("count (by|in) " + names + " [up] to {b}", rng).format(b=number(end, rng))
        return question, f"Counting by {step} to {end}: {listing(step, end, step)}."
    if kind == "big":
        question = expand("(count [up] to {b}|count from 1 to {b}|can you count to {b}|count down from {b})", rng)
        return question.format(b=rng.choice([rng.randint(101, 999), 1000, 10000, "a million", "one thousand", "a thousand", "infinity", 1000000])), "I count only up to 100."
    n = rng.randint(1, 99)
    if kind == "after":
        question = expand("((what|which) number (comes|is|follows|goes) (after|right after|next after) {a}|what comes after [the number] {a}|[tell me] the number after {a}|the next number after {a}|what follows [the number] {a}|{a} and then|what is [the number] after {a})", rng)
        return question.format(a=number(n, rng)), f"{n + 1} comes after {n}."
    question = expand("((what|which) number (comes|is) (before|right before|just before) {a}|what comes before [the number] {a}|[tell me] the number before {a}|what is before {a}|what is the number before {a})", rng)
    return question.format(a=number(n, rng)), f"{n - 1} comes before {n}."


FIXED = [
    ("(how many days (are|are there) in a week|how many days (has|does) (a|the) week [have]|days in a week|number of days in a week|how long is a week|a week has how many days|count the days of the week)", "A week has seven days."),
    ("(how many months (are|are there) in a year|how many months (has|does) a year [have]|months in a year|a year has how many months|number of months in a year)", "A year has twelve months."),
    ("(how many days (are|are there) in a year|how many days (has|does) a year [have]|how long is a year|days in a year)", "A year has 365 days, and a leap year has 366."),
    ("(how many hours (are|are there) in a day|how many hours (has|does) a day [have]|hours in a day|how long is a day)", "A day has 24 hours."),
    ("(how many minutes (are|are there) in an hour|how many minutes (has|does) an hour [have]|minutes in an hour|how long is an hour)", "An hour has 60 minutes."),
    ("(how many seconds (are|are there) in a minute|how many seconds (has|does) a minute [have]|how long is a minute)", "A minute has 60 seconds."),
    ("(how many weeks (are|are there) in a year|how many weeks (has|does) a year [have]|weeks in a year)", "A year has 52 weeks."),
    ("((name|list|tell me|say|give me|what are|write|recite|show me|can you name|do you know|can you list) [all] [the] [seven] (days of the week|weekdays|days in a week|days)|days of the week|weekdays)", "The days of the week are " + ", ".join(DAYS[:-1]) + " and Sunday."),
    ("((name|list|tell me|say|give me|what are|write|recite|show me|can you name|do you know|can you list) [all] [the] [twelve] (months of the year|months|months in a year)|months of the year|months)", "The months are " + ", ".join(MONTHS[:-1]) + " and December."),
    ("((what|which) days (are|make|form|belong to) the weekend|what is the weekend|name the days of the weekend|weekend days|when is the weekend)", "The weekend is Saturday and Sunday."),
    ("((what|which) (is|comes as) the first day of the week|(what|which) day starts the week|with (what|which) day does [the|a] week (start|begin)|the first day of the week)", "Monday is the first day of the week."),
    ("((what|which) is the last day of the week|(what|which) day ends the week|with (what|which) day does [the|a] week end|the last day of the week)", "Sunday is the last day of the week."),
    ("((what|which) is the first month [of the year]|(what|which) month starts the year|with (what|which) month does the year (start|begin))", "January is the first month of the year."),
    ("((what|which) is the last month [of the year]|(what|which) month ends the year|with (what|which) month does the year end)", "December is the last month of the year."),
    ("((name|list|what are|tell me|say|how many) [are] the [four] seasons|seasons of the year|which seasons are there)", "The seasons are spring, summer, autumn and winter."),
]
ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()


def days(rng: random.Random) -> tuple[str, str]:
    kind = rng.choices(["after", "before", "tomorrow", "yesterday", "two", "fixed", "length", "ordinal"], [28, 22, 8, 8, 6, 20, 6, 6])[0]
    names, unit = rng.choice([(DAYS, "day"), (MONTHS, "month")])
    at = rng.randrange(len(names))
    name, following, previous = names[at], names[(at + 1) % len(names)], names[at - 1]
    if kind == "fixed":
        question, answer = rng.choice(FIXED)
        return expand(question, rng), answer
    if kind == "after":
        question = "((what|which) (unit|weekday|unit of the era) (comes|is|follows|goes) [right|next|directly] after {n}|what [unit] comes (after|next after) {n}|(what|which) (unit) follows {n}|[tell me] the (unit) after {n}|after {n} comes|after {n} comes (which|what) (unit)|what is [the unit] after {n}|{n} is followed by (what|which unit)|(name|say|give me) the (unit) that (comes after|follows) {n}|what is the next (unit) after {n}|what follows {n}|(what|which) is the (unit) (following|after) {n}|{n} and then|what comes next after {n}|(what|which) (unit) (do we|will we|do i) (have|get|reach) (after|once|when) {n} [is over|is past|ends]|once {n} is over, (what|which unit) comes|when {n} ends, (what|which unit) (begins|starts|comes|is it)|the (unit) (right|directly|immediately) after {n}|{n} (ends|is over), (what|which unit) (begins|is next|comes))"
        answer = f"{following} comes after {name}."
    elif kind == "before":
        question = "((what|which) (unit|weekday|unit of the era) (comes|is|goes) [right|just|directly] before {n}|what [unit] comes before {n}|[tell me] the (unit) before {n}|before {n} comes|before {n} comes (which|what) (unit)|what is [the unit] before {n}|(name|say|give me) the (unit) that (comes before|precedes) {n}|(what|which) (unit) precedes {n}|what precedes {n}|{n} (comes after|follows) (what|which unit)|(what|which) is the (unit) (preceding|before) {n}|{n} comes right after (what|which unit)|the (unit) (right|directly|immediately|just) before {n}|(what|which) (unit) (did we have|do we have|was there) before {n}|(what|which) (unit) leads [up] to {n}|when {n} begins, (what|which unit) (is over|has ended))"
        answer = f"{previous} comes before {name}."
    elif kind == "tomorrow":
        name, following = (DAYS[at % 7], DAYS[(at + 1) % 7])
        question = "(if today is {n}, (what|which day) (is|will be|comes|do we have) tomorrow|today is {n}, what (is|day is|will be) tomorrow|it is {n}[ today], what (is|day is) tomorrow|what is tomorrow if today is {n}|what day is tomorrow if [today|it] is {n}|today is {n}, so tomorrow is (what|which day)|(suppose|say) today is {n}, (what|which day) is tomorrow|tomorrow, if today is {n}|now it is {n}, (what|which day) (do we have|will it be) tomorrow|{n} today, and tomorrow)"
        answer = f"Tomorrow is {following}."
    elif kind == "yesterday":
        name, previous = (DAYS[at % 7], DAYS[(at - 1) % 7])
        question = "(if today is {n}, (what|which day) was [it] yesterday|today is {n}, what (was|day was) yesterday|it is {n}[ today], what (was|day was) yesterday|what was yesterday if today is {n}|what day was yesterday if [today|it] is {n})"
        answer = f"Yesterday was {previous}."
    elif kind == "two":
        later = rng.random() < 0.6
        target = names[(at + (2 if later else -2)) % len(names)]
        where = "after" if later else "before"
        question = "((what|which) unit (is|comes) (two|2) units " + where + " {n}|(two|2) units " + where + " {n} [is] (what|which unit)|what is (two|2) units " + where + " {n})"
        answer = f"{target} is two {unit}s {where} {name}."
    elif kind == "length":
        name = rng.choice(MONTHS)
        question = "(how many days (has|does) [the month of|the month] {n} [have]|how many days are [there] in [the month of] {n}|how long is [the month of] {n}|days in {n}|number of days in {n}|{n} has how many days|how many days long is {n}|the length of {n} in days)"
        answer = f"{name} has {MONTH_DAYS[name]} days" + (", and 29 in a leap year." if name == "February" else ".")
    else:
        question = "((what|which) is the {o} unit [of the era]|the {o} unit of the era|(name|tell me|say) the {o} unit [of the era]|(what|which) unit is the {o}|what is the {o} unit in a era)"
        answer = f"{name} is the {ORDINALS[at]} {unit} of the {'week' if unit == 'day' else 'year'}."
        question = question.replace("{o}", ORDINALS[at])
    era = "week" if unit == "day" or kind in ("tomorrow", "yesterday") else "year"
    question = question.replace("weekday|", "weekday|" if unit == "day" else "").replace("unit", unit).replace("era", era)
    return expand(question, rng).format(n=name), answer


def days_follow_up(rng: random.Random) -> list[tuple[str, str]]:
    """A question about a day, and one that leans on it."""
    names, unit = rng.choice([(DAYS, "day"), (MONTHS, "month")])
    at, step = rng.randrange(len(names)), rng.choice([1, 1, -1])
    where = "after" if step > 0 else "before"
    turns = []
    for turn in range(rng.randint(2, 4)):
        name, target = names[(at + step * turn) % len(names)], names[(at + step * (turn + 1)) % len(names)]
        first = f"(what|which) {unit} comes {where} {name}|what comes {where} {name}"
        onward = "|and then|and next" if step > 0 else ""
        later = f"and {where} that|and the {unit} {where} that|what comes {where} that|and {where} {name}|{where} that{onward}"
        question = f"({first})" if turn == 0 else f"({later})"
        turns.append((expand(question, rng), f"{target} comes {where} {name}."))
    return turns
