"""The pages of the site: their numbers are those of the records, and their texts name what is left out."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from fake_records import make_record
from pages import built, task_page, text_of

from leaderboard.charts.curves import curve_chart
from leaderboard.charts.styles import styles
from leaderboard.schema.badges import Badge
from leaderboard.schema.published import Published, read_published
from leaderboard.schema.records import Record
from leaderboard.scoring.board import About, Board, Lead, Sheet
from leaderboard.scoring.contrasts import Plan
from leaderboard.scoring.sections import sections
from leaderboard.site import page
from leaderboard.site.links import record_link
from leaderboard.site.overview import short
from leaderboard.site.page import build_page


@pytest.fixture(autouse=True)
def short_script(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bundling Vega takes most of a build: once, in the test of the bundle, is enough."""
    monkeypatch.setattr(page.vega, "script", lambda: "/* vega */")


def three_seeds() -> list[Record]:
    records = [make_record((10.0, 20.0 + seed), strategy="ours", seed=seed) for seed in (0, 1, 2)]
    return records + [make_record((10.0, 12.0 - seed), seed=seed) for seed in (0, 1, 2)]


def test_the_task_page_holds_the_numbers_and_their_units(tmp_path: Path) -> None:
    text = text_of(task_page(three_seeds(), tmp_path / "page"))
    assert (
        "shapes-mini Version 1 · shared track · ranked by the mean accuracy (%) over the budget, compared with random under the same seeds"
        in text
    )
    assert (
        "ours 1 15.50 14.26 … 16.74 21.00 18.52 … 23.48 +5.00 +2.52 … +7.48 \N{EN DASH} 1.00 "
        "109 107 … 111 0.600 0.600 … 0.600 0.500 0.250 0.250 10.5 512 3" in text
    )
    assert (
        "random 2 10.50 9.26 … 11.74 11.00 8.52 … 13.48 \N{EN DASH} \N{EN DASH} \N{EN DASH} 2 of 3 runs reach it"
        in text
    )
    assert "3 seeds are too few for a sound ranking." in text
    assert "Seconds and memory: runs on Xeon, cpu, 1 thread." in text


def test_the_overview_names_the_best_strategy_with_its_gain_interval_runs_and_cost(tmp_path: Path) -> None:
    records = [make_record((10.0, 12.0 - seed), seed=seed) for seed in range(5)]
    records += [make_record((10.0, 22.0 - seed), strategy="ours", seed=seed) for seed in range(5)]
    records += [make_record((10.0, 24.0), strategy="theirs")]
    text = text_of(built(records, tmp_path / "page", strategies={"ours": OURS}))
    assert "3 strategies of active learning" in text
    assert "11 runs on 1 protocol." in text
    assert "other model from scratch on shapes-mini" in text
    # random ends at 12, 11 and so on, ours at 22, 21: in the first third of the labels 1 / 6 of 10 on average
    assert (
        "ours +1.667 accuracy 95 % interval +1.667 … +1.667, 5 runs costs 1 s a round, beside 10 s of training" in text
    )
    assert "ours +8.333 accuracy" in text
    assert "100 to 133 labels, 1 strategy" in text
    assert "ahead so far, in too few runs: theirs +2.000 (1)" in text
    assert (
        "Gain over random in accuracy (%) on shapes-mini, from 100 to 200 labels. At the end: theirs +12.00, ours +10.00."
        in built(records, tmp_path / "again")
    )


def test_where_nothing_is_clear_of_random_the_overview_says_so(tmp_path: Path) -> None:
    records = [make_record((10.0, 20.0 - 9 * seed), strategy="ours", seed=seed) for seed in range(5)]
    records += [make_record((10.0, 12.0 - seed), seed=seed) for seed in range(5)]
    text = text_of(built(records, tmp_path / "page"))
    assert text.count("No strategy with 5 runs or more is clearly better than random here; random costs nothing.") == 3
    assert "Neither beaten nor clear of random: ours" in text


def test_the_commit_of_a_changed_clone_is_shown_as_such() -> None:
    assert short("0123456789abcdef0123456789abcdef01234567+changes") == "0123456+changes"
    assert short("unknown") == "unknown"


def test_a_limit_near_zero_keeps_its_sign(tmp_path: Path) -> None:
    records = [make_record((10.0, 12.0 - seed), seed=seed) for seed in range(5)]
    gains = (0.003, 0.002, 0.003, 0.002, 0.003)  # a sixth of them in the first third: .0003 to .0005
    records += [make_record((10.0, 12.0 - seed + gain), strategy="ours", seed=seed) for seed, gain in enumerate(gains)]
    assert "95 % interval +0.0003 … +0.0005" in text_of(built(records, tmp_path / "page"))


OURS = About("Me 2020", "hybrid", "taps", "N K", "Picks well.")


def test_the_strategy_page_describes_the_strategy(tmp_path: Path) -> None:
    records = [*three_seeds(), make_record(strategy="ours", seed=3, strategy_config={"power": 2.0})]
    records = [each for each in records if each.seed != 3] + [
        make_record((10.0, 20.0), strategy="theirs", strategy_config={"power": 2.5})
    ]
    build_page(Board(records, {"ours": OURS}), tmp_path / "page")
    text = text_of((tmp_path / "page/strategies/ours.html").read_text(encoding="utf-8"))
    assert "Picks well. paper Me 2020 kind hybrid needs taps cost N K" in text
    assert "Too few runs to compare on shapes-mini" in text
    assert "Clearly better" not in text
    assert "shapes-mini version 1, shared · other, from scratch 1 of 3 15.50 14.26 … 16.74 +5.00 +2.52 … +7.48" in text
    assert "random 100.0 %" in text
    assert "It has no hyper-parameters." in text
    assert "seed 0 0000000, Xeon, cpu" in text
    assert "power 2.5" in text_of((tmp_path / "page/strategies/theirs.html").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("runs", "verdict"),
    [(4, "Too few runs to compare on shapes-mini"), (5, "Clearly better than random on shapes-mini (+2.500)")],
)
def test_five_runs_say_whether_a_strategy_is_better(runs: int, verdict: str, tmp_path: Path) -> None:
    seeds = range(runs)
    records = [
        make_record((10.0, 20.0 + score + seed), strategy=name, seed=seed)
        for name, score in (("random", 0), ("ours", 5))
        for seed in seeds
    ]
    build_page(Board(records, {"ours": OURS}), tmp_path / "page")
    assert verdict in text_of((tmp_path / "page/strategies/ours.html").read_text(encoding="utf-8"))


def test_only_planned_comparisons_have_a_p_value(tmp_path: Path) -> None:
    plan = Plan("board", (("shapes-mini", 1),), ("shared",), (0, 1, 2), (("ours", "random"),))
    text = text_of(task_page(three_seeds(), tmp_path / "page", plans=[plan]))
    assert "ours \N{MINUS SIGN} random board +5.0000 +2.5159 … +7.4841 3 0.2500 0.2500" in text
    assert "Planned comparisons" not in text_of(task_page(three_seeds(), tmp_path / "other"))


def test_the_first_screen_says_how_many_planned_comparisons_wait_for_runs(tmp_path: Path) -> None:
    plan = Plan("board", (("shapes-mini", 1),), ("shared",), (0, 1, 2, 3), (("ours", "random"),))
    text = text_of(built(three_seeds(), tmp_path / "page", plans=[plan]))
    assert "planned comparisons are, of which 1 of 1 still waits for planned seeds." in text
    done = text_of(built(three_seeds(), tmp_path / "other", plans=[plan._replace(seeds=(0, 1, 2))]))
    assert "planned comparisons are. " in done


def test_every_page_links_to_the_documentation_where_there_is_one(tmp_path: Path) -> None:
    board, folder = Board(three_seeds()), tmp_path / "page"
    for docs in ("", "https://example.org/docs/", ""):
        build_page(board, folder, docs=docs)
        pages = [page.read_text(encoding="utf-8") for page in folder.rglob("*.html")]
        assert len(pages) > 3
        assert {'<a href="https://example.org/docs/">Documentation</a>' in page for page in pages} == {bool(docs)}


def test_curves_of_different_seeds_say_so(tmp_path: Path) -> None:
    told = "Not all strategies have the same seeds"
    assert told not in text_of(task_page(three_seeds(), tmp_path / "same"))
    assert told in text_of(task_page([*three_seeds(), make_record((10.0, 12.0), seed=7)], tmp_path / "other"))


def test_planned_protocols_come_first() -> None:
    plan = Plan("board", (("shapes-mini", 1),), ("shared",), (0,), (("ours", "random"),))
    records = [make_record(protocol="another"), make_record()]
    assert [each.key.protocol for each in Board(records, plans=[plan]).sections] == ["shapes-mini", "another"]
    assert [each.key.protocol for each in Board(records).sections] == ["another", "shapes-mini"]


def test_references_are_not_ranked(tmp_path: Path) -> None:
    records = [*three_seeds(), make_record((90.0, 90.0), strategy="oracle", reference=True)]
    assert "oracle not ranked 90.00" in text_of(task_page(records, tmp_path / "page"))


@pytest.mark.slow
def test_the_full_pool_gives_gains(tmp_path: Path) -> None:
    full = [make_record((80.0 + seed,), strategy="full-pool", reference=True, seed=seed) for seed in (0, 1)]
    records = [*three_seeds(), *full]
    text = text_of(task_page(records, tmp_path / "page"))
    assert "A model trained on the full pool scores 80.50 (2 seeds)." in text
    assert "gain" in text
    assert "full-pool" not in text_of(built(records, tmp_path / "other"))


@pytest.mark.slow
def test_there_are_no_gains_if_the_full_pool_is_hardly_better(tmp_path: Path) -> None:
    full = [make_record((11.0 + 20 * seed,), strategy="full-pool", reference=True, seed=seed) for seed in (0, 1)]
    records = [*three_seeds(), *full]
    assert "2 seeds), too close to random for normalized gains." in text_of(task_page(records, tmp_path / "page"))


@pytest.mark.slow
def test_published_figures_are_shown_with_their_source(tmp_path: Path) -> None:
    figures = Published(
        protocol="shapes-mini",
        tasks=("shapes-mini",),
        source="A paper",
        certainty="plot",
        labeled=(100, 200),
        scores={"random": (1.0, 2.0)},
    )
    html = task_page(three_seeds(), tmp_path / "page", published=[figures])
    assert "A paper (read off the plot, within .003)" in text_of(html)
    assert "The dotted lines in the charts above." in text_of(html)
    (section,) = sections(three_seeds())
    line = curve_chart(section, styles(section.by_name), [figures])["layer"][-2]
    assert line["mark"]["strokeDash"] == [1, 3]
    assert "strokeDash" not in line["encoding"], "it would draw the line solid"
    other = figures.model_copy(update={"protocol": "shapes"})
    assert "those of other experiments are at the scale of a paper" in task_page(
        three_seeds(), tmp_path / "other", published=[other]
    )


def test_the_repositorys_published_curves_can_be_read() -> None:
    published = read_published()
    assert {source.certainty for source in published} <= {"plot", "raw", "quoted"}
    assert published[0].scores["learning-loss"][-1] == 0.910


def test_the_history_follows_the_years_of_the_papers(tmp_path: Path) -> None:
    known = {"ours": OURS, "old": OURS._replace(paper="They 1999"), "worse": OURS._replace(paper="You 2010")}
    known["oldest"] = OURS._replace(paper="Nobody 1990")
    areas = {"oldest": 3.0, "random": 3.5, "old": 5.0, "worse": 4.0, "ours": 6.0}
    records = [make_record((area,), strategy=name) for name, area in areas.items()]
    (section,) = sections(records)
    assert Board(records, known).history(section) == [Lead(1999, "old", 5.0), Lead(2020, "ours", 6.0)]


def test_the_history_compares_areas_under_random_s_seeds(tmp_path: Path) -> None:
    """A strategy whose seeds were the easy ones does not lead by that."""
    areas = {"random": (50.0, 60.0), "easy": (62.0,), "ours": (54.0, 64.0)}
    records = [
        make_record((area,), strategy=name, seed=len(areas["random"]) - 1 - place)
        for name, values in areas.items()
        for place, area in enumerate(reversed(values))
    ]
    known = {"easy": OURS._replace(paper="They 2010"), "ours": OURS}
    (section,) = sections(records)
    leads = Board(records, known).history(section)
    assert [lead.area for lead in leads] == sorted(lead.area for lead in leads)
    assert leads[-1].strategy == "ours"


def test_pictures_of_picks_are_shown_with_their_text(tmp_path: Path) -> None:
    build_page(Board([make_record()], sheet=lambda _: Sheet(b"jpeg", "What it picked.")), tmp_path / "page")
    html = (tmp_path / "page/strategies/random.html").read_text(encoding="utf-8")
    assert (tmp_path / "page/sheets/shapes-mini-p1-random-shared-s0.jpg").read_bytes() == b"jpeg"
    assert 'src="../sheets/shapes-mini-p1-random-shared-s0.jpg" alt="What it picked."' in html


def test_records_that_are_left_out_are_listed(tmp_path: Path) -> None:
    records = [
        make_record(),
        make_record((98.7,), strategy="half", planned_rounds=3, seed=4),
        make_record((97.6, 97.6, 97.6), strategy="tried", split="validation"),
    ]
    text = text_of(built(records, tmp_path / "page", damages=["a.json: not a valid record"]))
    assert (
        "1 strategy of active learning by the score of the model that is trained on the images they pick: 1 run on 1 protocol."
        in text
    )
    assert "planned rounds are missing: 1 run. shapes-mini, half, seed 4 (1 of 3 rounds)" in text
    assert "validation split, which is for choosing settings: 1 run." in text
    assert "1 file could not be used: a.json: not a valid record" in text
    assert "98.7" not in text
    assert "97.6" not in text


def test_without_records_the_page_says_so(tmp_path: Path) -> None:
    assert "There is no complete test record yet." in built([], tmp_path / "page")


def test_the_page_warns_of_different_machines(tmp_path: Path) -> None:
    other = make_record().machine.model_copy(update={"device": "cuda", "threads": 4})
    text = text_of(task_page([make_record(), make_record(seed=1, machine=other)], tmp_path / "page"))
    assert (
        "Run on Xeon, cpu, 1 thread; Xeon, cuda, 4 threads. Seconds on different machines are not comparable." in text
    )
    assert "Runs on other machines count for scores only." in text


def test_a_badge_covers_the_rerun_protocols_only_and_a_failed_submission_is_not_ranked(tmp_path: Path) -> None:
    good = Badge(state="verified", replayed=(("shapes-mini", "shared", 0),))
    records = [
        *three_seeds(),
        make_record((99.0, 99.0), strategy="bad"),
        make_record(strategy="ours", protocol="other"),
    ]
    badges = {"ours": good, "bad": Badge(state="failed", faults=("picks <b>swapped</b>",))}
    board = Board(records, {"ours": OURS, "bad": OURS}, badges=badges)
    build_page(board, tmp_path / "page")
    text = text_of((tmp_path / "page/strategies/ours.html").read_text(encoding="utf-8"))
    assert "shapes-mini verified version 1, shared" in text
    assert "other self-reported version 1, shared" in text
    first = (tmp_path / "page/index.html").read_text(encoding="utf-8")
    (data,) = re.findall(r'id="board-data">(.*?)</script>', first, re.DOTALL)
    assert json.loads(data)["strategies"]["ours"]["badge"] == "self-reported", "as not all that is ranked was rerun"
    assert '"reference": true' not in (tmp_path / "page" / record_link(records[-2])).read_text(encoding="utf-8")
    page = (tmp_path / "page/strategies/bad.html").read_text(encoding="utf-8")
    assert "bad failed" in text_of(page)
    assert "Not ranked: it failed its verification" in text_of(page)
    assert "picks &lt;b&gt;swapped" in page
    assert [lead.strategy for lead in board.history(board.sections[1])] == ["ours"]
    assert board.history(board.sections[0]) == []


def test_the_seeds_beside_a_gain_are_those_that_random_has_too(tmp_path: Path) -> None:
    records = [make_record((50.0, 60.0), seed=seed) for seed in range(2)]
    records += [make_record((55.0, 65.0), strategy="ours", seed=seed) for seed in range(1, 6)]
    build_page(Board(records), tmp_path / "page")
    first = (tmp_path / "page/index.html").read_text(encoding="utf-8")
    (data,) = re.findall(r'id="board-data">(.*?)</script>', first, re.DOTALL)
    (section,) = json.loads(data)["sections"]
    assert section["values"]["ours"]["seeds"] == 1


@pytest.mark.parametrize(
    ("paper", "year"),
    [
        ("Me 2020", 2020),
        ("arXiv 1905.03677, CVPR 2019", 2019),
        ("Shannon 1948", None),
        ("none", None),
        ("in 19999", None),
    ],
)
def test_the_year_of_a_paper(paper: str, year: int | None) -> None:
    assert OURS._replace(paper=paper).year == year
