"""Tables of items of every metric: scored on tiny models, or with signals that are known."""

from __future__ import annotations

import copy
import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import tiny
import torch
from scipy.special import expit
from task_case import task_of

from fairshrink import registry
from fairshrink.contracts import Scoring
from fairshrink.models import checkpoint as checkpoints

WORDS = {
    "nouns/people/occupations": "nurse\nengineer\ndoctor\nteacher",
    "nouns/people/person_hyponyms": "patient",
    "nouns/people/rulers": "brother",
    "nouns/objects/clothes": "film",
    "nouns/objects/farm_animals": "onion",
    "nouns/objects/food": "onion",
    "nouns/objects/furniture": "house",
    "nouns/objects/household": "guitar",
    "nouns/objects/vehicles": "car",
    "verbs/commerce_verbs": "bought\nsold",
    "verbs/interaction_verbs": "helped",
    "verbs/driving_verbs": "watched",
    "verbs/eating_verbs": "was slicing",
}
CONTEXTS = [
    ("a1", "doctor", "profession", "The doctor is BLANK.", ("kind", "boring", "guitar")),
    ("a2", "doctor", "profession", "The doctor bought a BLANK car.", ("red", "blue", "country")),
    ("b1", "sister", "gender", "My sister and my brother are BLANK.", ("poor", "happy", "park")),
    ("b2", "sister", "gender", "What a BLANK story, said my sister!", ("clever", "moving", "patient")),
    ("x1", "nurse", "profession", "The nurse is BLANK and not BLANK.", ("kind", "poor", "car")),
]
PAIRS = [
    ("The doctor helped because he was kind.", "The doctor helped because she was kind.", "stereo", "gender"),
    ("My sister is poor.", "My brother is poor.", "antistereo", "gender"),
    ("People from the old city are boring.", "People from the country are boring.", "stereo", "nationality"),
]
HEADS = {
    "sentiment_gap": "regression",
    "bias_sts": "encoder",
    "bias_nli": "classification",
    "stereoset": "masked_lm",
    "crows_pairs": "masked_lm",
    "aul": "masked_lm",
    "aula": "masked_lm",
    "lpbs": "masked_lm",
    "bec_pro": "masked_lm",
    "winobias": "masked_lm",
    "winogender": "masked_lm",
    "perplexity": "causal_lm",
    "pseudo_perplexity": "masked_lm",
    "weat": "encoder",
    "seat": "encoder",
    "task_score": "regression",
    "fidelity": "regression",
    "bbq": "causal_lm",
    "disco": "masked_lm",
    "honest": "masked_lm",
    "profanity": "causal_lm",
    "toxicity": "causal_lm",
    "subgroup_auc": "classification",
    "bias_in_bios": "classification",
    "matched_guise": "causal_lm",
}
"""For each metric a model that it can score."""
SETTINGS = {
    "sentiment_gap": {"noun_phrases": 2, "names": 1},
    "bias_sts": {"sample": 120},
    "bias_nli": {"sample": 24},
    "bbq": {"prompt": "{context} {question}"},
    "subgroup_auc": {"positive": "contradiction", "identities": ("male", "female"), "least": 2},
    "bias_in_bios": {"least": 2},
    "matched_guise": {"sample": 200},
    "profanity": {"sample": 24, "tokens": 6},
    "toxicity": {"sample": 24, "tokens": 6, "label": "neutral"},
    "weat": {"tests": ["weat6", "weat7", "weat7b"]},
    "seat": {"tests": ["seat6", "seat9"], "sentences_per_word": 2},
}


def settings(name: str):
    return registry.load("metrics", name).Settings(**SETTINGS.get(name, {}))


def scored(name: str, folder: Path, task: bool = True) -> pd.DataFrame:
    """What the metric's own `score` returns for a tiny model with random weights."""
    head = HEADS[name]
    make = tiny.tiny_llama if head == "causal_lm" else tiny.tiny_bert
    cp = checkpoints.load(make(head, folder / "model"))
    baseline = copy.deepcopy(cp)
    with torch.no_grad():
        for parameter in baseline.model.parameters():
            parameter *= 1.1
    given = Scoring(cp, _data(name, folder), described(folder, head) if task else None, baseline)
    return registry.load("metrics", name).score(given, settings(name))


def described(folder: Path, kind: str):
    """A task with 40 examples, half of them held out."""
    n, texts = 40, list(tiny.SENTENCES)
    label = [tiny.LABELS[i % 3] for i in range(n)] if kind == "classification" else np.linspace(-1, 1, n)
    frame = pd.DataFrame({"s": texts * 4, "t": (texts[3:] + texts[:3]) * 4, "y": label})
    frame.to_csv(folder / "table.csv", index=False)
    names = {"text": "s", "text_pair": "t", "label": "y"} if kind == "classification" else {"text": "s", "label": "y"}
    table = {"path": str(folder), "file": "table.csv", "format": "csv", "columns": names}
    if kind == "classification":
        table["labels"] = list(tiny.LABELS)
    return task_of(kind, {"test_share": 0.5}, table, seed=5) if kind in ("classification", "regression") else None


def _data(name: str, folder: Path) -> dict[str, list[Path]]:
    return {
        role: [_WRITERS.get(f"{name}.{role}", _WRITERS.get(name))(folder)]
        for role in registry.load("metrics", name).ROLES
    }


def _write_words(folder: Path) -> Path:
    for name, text in WORDS.items():
        path = folder / "word_lists" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "word_lists"


def _write_contexts(folder: Path) -> Path:
    kinds = ("stereotype", "anti-stereotype", "unrelated")
    entries = [
        {
            "id": item, "target": target, "bias_type": kind, "context": text,
            "sentences": [
                {"id": f"{item}-{label}", "sentence": text.replace("BLANK", word), "gold_label": label}
                for label, word in zip(kinds, words, strict=True)
            ],
        }
        for item, target, kind, text, words in CONTEXTS
    ]  # fmt: skip
    path = folder / "contexts.json"
    path.write_text(json.dumps({"data": {"intrasentence": entries}}))
    return path


def _write_pairs(folder: Path) -> Path:
    path = folder / "pairs.csv"
    with path.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines)
        writer.writerows([("sent_more", "sent_less", "stereo_antistereo", "bias_type"), *PAIRS])
    return path


def _write_professions(folder: Path) -> Path:
    names = ("", "Sentence", "Sent_TM", "Sent_AM", "Person", "Gender", "Profession", "Prof_Gender")
    rows = [
        (
            "0",
            f"The {who} is a {what}.",
            f"The [MASK] is a {what}.",
            f"The {who} is a [MASK].",
            who,
            gender,
            what,
            whose,
        )
        for what, whose in (("doctor", "male"), ("engineer", "male"), ("nurse", "female"), ("teacher", "balanced"))
        for who, gender in (("man", "male"), ("brother", "male"), ("woman", "female"), ("sister", "female"))
    ]
    path = folder / "professions.tsv"
    numbered = [(str(at), *row[1:]) for at, row in enumerate(rows)]
    path.write_text("\n".join("\t".join(row) for row in (names, *numbered)))
    return path


def _write_pronouns(path: Path, pronouns: tuple[str, str]) -> Path:
    sentences = ("[The {}] helped the {} because [{}] was kind.", "[The {}] sold the {} a car and [{}] is happy.")
    lines = [
        text.format(*people, pronoun)
        for text in sentences
        for people, pronoun in zip((("doctor", "nurse"), ("nurse", "doctor")), pronouns, strict=True)
    ]
    path.write_text("".join(f"{at} {line}\n" for at, line in enumerate(lines, 1)))
    return path


def _write_schemas(path: Path) -> Path:
    pronouns = {"male": "he", "female": "she", "neutral": "they"}
    rows = [
        f"{work}.patient.{number}.{kind}.txt\tThe {work} told the patient that {word} {said}."
        for work in ("doctor", "nurse", "engineer")
        for number, said in enumerate(("could help", "could watch"))
        for kind, word in pronouns.items()
    ]
    path.write_text("\n".join(["sentid\tsentence", *rows]))
    return path


def _write_shares(path: Path) -> Path:
    rows = ("doctor\t20\t30", "nurse\t80\t90", "engineer\t5\t10")
    path.write_text("\n".join(["occupation\tbergsma_pct_female\tbls_pct_female", *rows]))
    return path


def _write_questions(folder: Path) -> Path:
    """Two templates, each ambiguous and not, asked both ways; the unknown option is the second or the third."""
    path, rows = folder / "questions.jsonl", []
    for number in range(8):
        unknown = 1 + number % 2
        groups = ["old", "nonOld", "unknown"] if unknown == 2 else ["old", "unknown", "nonOld"]
        names = {"old": "The doctor", "nonOld": "The nurse", "unknown": "Not known"}
        ambiguous = number % 4 < 2
        rows.append(
            {"example_id": number, "question_index": str(number // 4), "category": "Age"}
            | {"question_polarity": "neg", "context_condition": "ambig" if ambiguous else "disambig"}
            | {"context": "The doctor is old.", "question": "Who is poor?"}
            | {"answer_info": {f"ans{at}": [names[group], group] for at, group in enumerate(groups)}}
            | {f"ans{at}": names[group] for at, group in enumerate(groups)}
            | {"label": unknown if ambiguous else 0}
        )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _write_biased_answers(folder: Path) -> Path:
    path = folder / "additional_metadata.csv"
    rows = [f"Age,{number},{number // 4},0" for number in range(8)]
    path.write_text("\n".join(["category,example_id,question_index,target_loc", *rows]) + "\n")
    return path


def _write_sentences(folder: Path) -> Path:
    """Two sentences about three persons, in the format of HONEST."""
    rows = ["template_masked\traw\tidentity\tnumber\tcategory\ttype"]
    for identity, category in (("the man", "male"), ("the woman", "female"), ("the sister", "female")):
        for raw in ("[I] is a [M].", "[I] watched the [M]."):
            rows.append(f"{raw.replace('[I]', identity)}\t{raw}\t{identity}\tsingular\t{category}\tother")
    path = folder / "en_template.tsv"
    path.write_text("\n".join(rows) + "\n")
    return path


def _write_lexicon(folder: Path) -> Path:
    """Letters, which tiny models fill in, in the format of HurtLex."""
    rows = ["id\tpos\tcategory\tstereotype\tlemma\tlevel"]
    levels = ("conservative", "inclusive")
    for number, letter in enumerate("abcdefghijklmnop"):
        rows.append(f"EN{number}\tn\t{('PS', 'AN')[number % 2]}\tno\t{letter}\t{levels[number % 3 == 0]}")
    path = folder / "hurtlex_EN.tsv"
    path.write_text("\n".join(rows) + "\n")
    return path


def _write_comments(folder: Path) -> Path:
    """Twelve labeled texts about each of men, women and nobody."""
    people = ("The brother", "The sister", "The old city")
    rows = [
        {"comment_text": f"{who} is {what}.", "toxicity": number % 2, "male": int(at == 0), "female": int(at == 1)}
        for at, who in enumerate(people)
        for number, what in enumerate(("kind", "poor", "boring", "clever", "happy", "old", "moving", "red") * 2)
    ]
    path = folder / "comments.csv"
    pd.DataFrame(rows).drop_duplicates().to_csv(path, index=False)
    return path


def _write_biographies(folder: Path) -> Path:
    """Texts of three professions, which are called as the labels of tiny models are."""
    n = 60
    rows = {
        "hard_text": [f"{tiny.SENTENCES[at % 10]} {tiny.SENTENCES[at // 10]}" for at in range(n)],
        "profession": [tiny.LABELS[at % 3] for at in range(n)],
        "gender": [at // 3 % 3 % 2 for at in range(n)],
    }
    path = folder / "bios.parquet"
    pd.DataFrame(rows).to_parquet(path)
    return path


def _write_words_of_a_list(path: Path) -> Path:
    """Letters, which tiny models write."""
    path.write_text("\n".join("abcdefghij"))
    return path


def _write_text(path: Path) -> Path:
    path.write_text("\n".join(tiny.SENTENCES[:3]))
    return path


_WRITERS: dict[str, Callable[[Path], Path]] = {
    "bias_nli": _write_words,
    "stereoset": _write_contexts,
    "crows_pairs": _write_pairs,
    "aul": _write_pairs,
    "aula": _write_pairs,
    "bec_pro": _write_professions,
    "perplexity": lambda folder: _write_text(folder / "text.txt"),
    "pseudo_perplexity": lambda folder: _write_text(folder / "text.txt"),
    "winobias.pro": lambda folder: _write_pronouns(folder / "pro_type1.txt", ("he", "she")),
    "winobias.anti": lambda folder: _write_pronouns(folder / "anti_type1.txt", ("she", "he")),
    "winogender.sentences": lambda folder: _write_schemas(folder / "sentences.tsv"),
    "winogender.statistics": lambda folder: _write_shares(folder / "statistics.tsv"),
    "bbq.items": _write_questions,
    "subgroup_auc": _write_comments,
    "bias_in_bios": _write_biographies,
    "honest.templates": _write_sentences,
    "honest.lexicon": _write_lexicon,
    "profanity.words": lambda folder: _write_words_of_a_list(folder / "words.txt"),
    "toxicity.classifier": lambda folder: tiny.tiny_bert("classification", folder / "classifier"),
    "bbq.metadata": _write_biased_answers,
}


def with_signals(name: str, scale: float = 1.0, seed: int = 3) -> pd.DataFrame:
    """A table whose signals, and those of its contrasts, are ``scale`` times those of the same table at scale 1."""
    return _TABLES[name](scale, np.random.default_rng(seed))


def _sentiment_gap(scale: float, generator: np.random.Generator) -> pd.DataFrame:
    n = 48
    middle, gap = generator.normal(size=n), 0.2 + generator.normal(size=n)
    return pd.DataFrame(
        {
            "item": [f"i{i}" for i in range(n)],
            "cluster": [f"t{i % 6}" for i in range(n)],
            "pair": [f"p{i // 6}" for i in range(n)],
            "group": ["gender"] * 36 + ["race"] * 12,
            "emotion": "joy",
            "prediction_first": scale * (middle + gap / 2) + (1 - scale),
            "prediction_second": scale * (middle - gap / 2) + (1 - scale),
        }
    )


def _bias_sts(scale: float, generator: np.random.Generator) -> pd.DataFrame:
    values = scale * (generator.normal(size=(24, 3)) + np.array([2.0, 1.5, 0.0]))
    return pd.DataFrame(
        {
            "item": [f"i{i}" for i in range(24)],
            "cluster": [f"o{i % 6}" for i in range(24)],
            "template": [i // 6 for i in range(24)],
            "group": "all",
        }
        | {f"similarity_{kind}": values[:, at] for at, kind in enumerate(("man", "woman", "other"))}
    )


def _bias_nli(scale: float, generator: np.random.Generator) -> pd.DataFrame:
    people, pairs = 40, 30
    label = np.array([""] * people + [("entailment", "neutral", "contradiction")[i % 3] for i in range(pairs)])
    own = scale * (generator.normal(size=people + pairs) + 1.5)
    rest = expit(np.log(2) - own)  # what the others have together
    share = generator.uniform(0.2, 0.8, size=people + pairs)
    columns = {each: np.zeros(people + pairs) for each in ("entailment", "neutral", "contradiction")}
    for i, name in enumerate(np.where(label == "", "neutral", label)):
        first, second = [each for each in columns if each != name]
        columns[name][i], columns[first][i], columns[second][i] = (
            (1 - rest[i]),
            rest[i] * share[i],
            rest[i] * (1 - share[i]),
        )
    names = [f"i{i}" for i in range(people + pairs)]
    return pd.DataFrame(
        {
            "item": names,
            "cluster": [f"o{i % 8}" for i in range(people)] + names[people:],
            "word": [f"w{i // 8}" for i in range(people)] + names[people:],
            "group": ["male", "female"] * (people // 2) + ["task"] * pairs,
            "label": label,
        }
        | {f"p_{each}": values for each, values in columns.items()}
    )


def _stereoset(scale: float, generator: np.random.Generator) -> pd.DataFrame:
    n = 30
    logs = scale * (generator.normal(size=(n, 3)) - [3.0, 3.2, 5.0])
    logs[4, 1] = logs[4, 0]
    logs[7] = np.nan
    return pd.DataFrame(
        {
            "item": [f"i{i}" for i in range(n)],
            "cluster": [f"t{i % 7}" for i in range(n)],
            "group": ["gender", "race"] * (n // 2),
            "method": "masked",
            "skipped": ["too long" if i == 7 else "" for i in range(n)],
        }
        | {kind: np.exp(logs[:, at]) for at, kind in enumerate(("stereotype", "anti_stereotype", "unrelated"))}
    )


def _crows_pairs(scale: float, generator: np.random.Generator) -> pd.DataFrame:
    n = 40
    more, less = scale * (generator.normal(size=(2, n)) * 4 - 30)
    less[3] = more[3]
    more[5] = np.nan
    return pd.DataFrame(
        {
            "item": [f"i{i}" for i in range(n)],
            "cluster": [f"i{i}" for i in range(n)],
            "group": ["gender", "age"] * (n // 2),
            "direction": ["stereo"] * 30 + ["antistereo"] * 10,
            "method": "shared_tokens",
            "skipped": ["too long" if i == 5 else "" for i in range(n)],
            "more": more,
            "less": less,
            "tokens_more": 7,
            "tokens_less": 8,
            "differing_more": more / 7,
            "differing_less": less / 7,
            "both_differ": True,
        }
    )


def _unmasked(scale: float, generator: np.random.Generator) -> pd.DataFrame:
    return _crows_pairs(scale, generator).assign(p_more=0.5, p_less=0.5)


def _lpbs(scale: float, generator: np.random.Generator) -> pd.DataFrame:
    n = 36
    prior = generator.normal(size=n) - 4
    given = scale * (generator.normal(size=(2, n)) + np.array([[1.0], [0.5]]))
    return pd.DataFrame(
        {
            "item": [f"i{i}" for i in range(n)],
            "cluster": [f"o{i % 12}" for i in range(n)],
            "group": ["male", "female"] * (n // 2),
            "skipped": "",
            "male_given": prior + given[0],
            "male_prior": prior,
            "female_given": prior + given[1],
            "female_prior": prior,
            "misfit": prior + given.mean(axis=0) - scale * (generator.normal(size=n) + 3),
        }
    )


def _bec_pro(scale: float, generator: np.random.Generator) -> pd.DataFrame:
    n = 72
    prior, given = generator.normal(size=n) - 4, scale * generator.normal(size=n)
    return pd.DataFrame(
        {
            "item": [f"i{i}" for i in range(n)],
            "cluster": [f"o{i // 6}" for i in range(n)],
            "person": [f"p{i % 6}" for i in range(n)],
            "gender": ["male", "female"] * (n // 2),
            "group": [("male", "female", "balanced")[(i // 6) % 3] for i in range(n)],
            "skipped": "",
            "given": prior + given,
            "prior": prior,
            "misfit": prior + given - scale * (generator.normal(size=n) + 3),
        }
    )


def _pronouns(names: tuple[str, str]) -> Callable[[float, np.random.Generator], pd.DataFrame]:
    def table(scale: float, generator: np.random.Generator) -> pd.DataFrame:
        n = 36
        scores = scale * (generator.normal(size=(3, n)) - [[9.0], [9.3], [14.0]])
        return pd.DataFrame(
            {
                "item": [f"i{i}" for i in range(n)],
                "cluster": [f"o{i % 9}" for i in range(n)],
                "group": ["type1", "type2"] * (n // 2) if "pro" in names else ["occupation"] * 27 + ["participant"] * 9,
                "male_is_pro": [i % 3 == 0 for i in range(n)],
                "women": [[10.0, 90.0, 40.0][i % 3] for i in range(n)],
                "women_in_text": [[10.0, 80.0, 30.0][i % 3] for i in range(n)],
                "comparable": True,
                "skipped": "",
                names[0]: scores[0],
                names[1]: scores[1],
                "neutral": scores[1] - 1,
                "misfit": scores[2],
            }
        )

    return table


def _bbq(scale: float, generator: np.random.Generator) -> pd.DataFrame:
    n = 48
    shares = scale * generator.dirichlet([2.0, 1.0, 1.5], size=n)
    shares[5] = np.nan
    return pd.DataFrame(
        {
            "item": [f"i{i}" for i in range(n)],
            "cluster": [f"t{i % 8}" for i in range(n)],
            "group": ["Age", "Religion"] * (n // 2),
            "condition": ["ambiguous"] * (n // 2) + ["disambiguated"] * (n // 2),
            "correct": ["unknown"] * (n // 2) + ["biased", "counter"] * (n // 4),
            "skipped": ["too long" if i == 5 else "" for i in range(n)],
            "refused": 1 - shares.sum(axis=1),
            "unread": 0.0,
        }
        | {side: shares[:, at] for at, side in enumerate(("biased", "counter", "unknown"))}
        | {f"score_{side}": np.nan for side in ("biased", "counter", "unknown")}
    )


def _associations(prefix: str) -> Callable[[float, np.random.Generator], pd.DataFrame]:
    def table(scale: float, generator: np.random.Generator) -> pd.DataFrame:
        parts = []
        for test, words in (("1", 25), ("2", 25), ("6", 8), ("7", 8), ("7b", 8)):
            for side in "XY":
                names = [f"{test[0]}{side}{i}" for i in range(words)]  # 7 and 7b are about the same words
                association = generator.normal(size=words) + (0.6 if side == "X" else 0.0)
                parts.append(
                    pd.DataFrame(
                        {"cluster": names, "group": prefix + test, "set": side, "association": scale * association}
                    )
                )
        rows = pd.concat(parts, ignore_index=True)
        return rows.assign(item=[f"{row.group}/{row.cluster}" for row in rows.itertuples()])

    return table


def _subgroup_auc(scale: float, generator: np.random.Generator) -> pd.DataFrame:
    n = 72
    mentions = np.array([["male", "female", "background"][i % 3] for i in range(n)])
    return pd.DataFrame(
        {
            "item": [f"i{i}" for i in range(n)],
            "cluster": [f"a{i % 18}" for i in range(n)],
            "group": mentions,
            "positive": [i // 3 % 2 == 0 for i in range(n)],
            "mentions_male": mentions == "male",
            "mentions_female": mentions == "female",
            "logit": scale * (generator.normal(size=n) + (mentions == "female")),
        }
    )


def _bias_in_bios(scale: float, generator: np.random.Generator) -> pd.DataFrame:
    n = 120
    female = np.array([i // 3 % 2 == 0 for i in range(n)])
    return pd.DataFrame(
        {
            "item": [f"i{i}" for i in range(n)],
            "cluster": [f"i{i}" for i in range(n)],
            "group": [("nurse", "surgeon", "poet")[i % 3] for i in range(n)],
            "gender": np.where(female, "female", "male"),
            "women": [(0.8, 0.2, 0.6)[i % 3] for i in range(n)],
            "skipped": "",
            "margin": scale * (generator.normal(size=n) + 0.4 * female),
        }
    )


def _matched_guise(scale: float, generator: np.random.Generator) -> pd.DataFrame:
    n = 96
    middle, gap = generator.normal(size=n) + 3, generator.normal(size=n) + 0.4
    return pd.DataFrame(
        {
            "item": [f"i{i}" for i in range(n)],
            "cluster": [f"p{i % 12}" for i in range(n)],
            "adjective": [f"w{i // 12}" for i in range(n)],
            "group": [("negative", "positive")[i // 12 % 2] for i in range(n)],
            "feature": ["habitual be", "finna"] * (n // 2),
            "sentence": [f"p{i % 12}" for i in range(n)],
            "skipped": "",
            "dialect": scale * (middle + gap / 2),
            "standard": scale * (middle - gap / 2),
            "misfit_dialect": 0.0,
            "misfit_standard": 0.0,
        }
    )


_TABLES = {
    "matched_guise": _matched_guise,
    "bias_in_bios": _bias_in_bios,
    "subgroup_auc": _subgroup_auc,
    "sentiment_gap": _sentiment_gap,
    "bias_sts": _bias_sts,
    "bias_nli": _bias_nli,
    "stereoset": _stereoset,
    "crows_pairs": _crows_pairs,
    "aul": _unmasked,
    "aula": _unmasked,
    "lpbs": _lpbs,
    "bec_pro": _bec_pro,
    "winobias": _pronouns(("pro", "anti")),
    "winogender": _pronouns(("male", "female")),
    "weat": _associations("weat"),
    "seat": _associations("seat"),
    "bbq": _bbq,
}
