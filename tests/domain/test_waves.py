from hypothesis import given
from hypothesis import strategies as st

from ai_platform_mcp.domain.fleet import Member, fleet_facts, minimum_healthy, site_rules
from ai_platform_mcp.domain.waves import describe, plan_waves, tolerated_failures, usual_canary, wave_share


@st.composite
def fleets(draw: st.DrawFn) -> list[Member]:
    sites = draw(st.integers(0, 12))
    return [
        Member(node=f"edge-{site}-{node}", site=f"s{site}", region=f"r{site % 3}", online=draw(st.booleans()))
        for site in range(sites)
        for node in range(draw(st.integers(1, 6)))
    ]


@given(fleets(), st.integers(0, 100))
def test_waves_hold_every_site_exactly_once(members: list[Member], percent: int):
    sites = [site for wave in plan_waves(members, percent) for site in wave.sites]
    assert sorted(sites) == sorted({row.site for row in members})


@given(fleets(), st.integers(1, 99))
def test_the_canary_is_first_alone_and_can_be_watched_if_anything_can(members: list[Member], percent: int):
    waves = plan_waves(members, percent)
    if len({row.site for row in members}) < 2:
        assert all(not wave.canary for wave in waves)
        return
    assert [wave.canary for wave in waves] == [True] + [False] * (len(waves) - 1)
    if any(row.online for row in members):
        assert any(row.online for row in members if row.site in waves[0].sites)
    assert len(waves[0].sites) == 1 or wave_share(waves[0], members) <= percent


@given(fleets(), st.integers(1, 99), st.randoms(use_true_random=False))
def test_the_order_of_nodes_does_not_change_the_waves(members: list[Member], percent: int, random: object):
    shuffled = list(members)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert plan_waves(members, percent) == plan_waves(shuffled, percent)


def test_a_fleet_of_47_gets_a_small_canary_and_growing_waves_over_all_regions():
    regions = {"us-south": 14, "us-east": 13, "eu-west": 11, "ap-south": 9}
    members = [
        Member(node=f"edge-{region}-{node}", site=f"{region}-{node % 3 + 1}", region=region, online=True)
        for region, size in regions.items()
        for node in range(size)
    ]
    waves = plan_waves(members, 10)
    assert wave_share(waves[0], members) <= 10
    assert [wave.name for wave in waves] == ["canary", "wave-1", "wave-2", "wave-3"]
    second = {row.region for row in members if row.site in waves[2].sites}
    assert second == set(regions)
    assert describe(waves, members).startswith("canary (1 site, 3 nodes), wave-1")


def test_a_large_fleet_gets_a_canary_of_about_twenty_nodes_and_tolerates_one_failure_in_a_hundred():
    sizes = (1, 47, 200, 1000, 10_000)
    assert [(usual_canary(size), tolerated_failures(size)) for size in sizes] == [
        (10, 1),
        (10, 1),
        (10, 2),
        (2, 10),
        (1, 100),
    ]
    members = [Member(node=f"n{i}", site=f"s{i // 4}", region=f"r{i % 3}", online=True) for i in range(1000)]
    waves = plan_waves(members, usual_canary(1000))
    assert [len(wave.sites) * 4 for wave in waves] == [20, 40, 120, 360, 460]


def test_no_canary_means_one_wave():
    members = [Member(node=f"n{i}", site=f"s{i}", region="r", online=True) for i in range(4)]
    assert [(wave.name, len(wave.sites), wave.canary) for wave in plan_waves(members, 0)] == [("all", 4, False)]


# ------------------------------------------------------------------------------------------------------------ sites


def test_a_site_without_a_rule_keeps_sixty_percent_rounded_up():
    assert [minimum_healthy(members, None) for members in (1, 4, 5, 10)] == [1, 3, 3, 6]


def test_site_rules_are_read_and_broken_entries_are_left_out():
    rules = site_rules({"data": {"a": '{"region": "eu", "minimum_healthy": 2}', "b": "not json", "c": "[]"}})
    assert set(rules) == {"a"} and minimum_healthy(9, rules["a"]) == 2


@given(fleets(), st.data())
def test_taking_nodes_away_lowers_health_by_exactly_the_online_ones(members: list[Member], data: st.DataObject):
    names = [row.node for row in members]
    gone = data.draw(st.sets(st.sampled_from(names))) if names else set[str]()
    facts = fleet_facts(members, names, {}, taken_away=gone)
    lost = sum(site.healthy_before - site.healthy_after for site in facts.sites)
    assert lost == sum(row.online for row in members if row.node in gone)
    assert facts.affected == facts.members == len(names)
    assert facts.offline == sum(not row.online for row in members)
