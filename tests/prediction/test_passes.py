from cxr.prediction.passes import Pass, first_passes, order_of_work


def test_what_is_worth_most_comes_first():
    levels = order_of_work(["slow", "quick"], ["studies"], 2, ["studies"], {"slow": 2.0, "quick": 0.5})
    assert [level.passes for level in levels] == [
        (Pass("quick", 0), Pass("studies", 0)),
        (Pass("slow", 0),),
        (Pass("quick", 1), Pass("slow", 1), Pass("studies", 1)),
        (Pass("studies", 0, True), Pass("studies", 1, True)),
    ]
    assert levels[1].name == "one fold of slow, the slower detector"


def test_without_mirror_images_or_a_second_detector_there_are_no_such_levels():
    assert [level.name for level in order_of_work(["only"], ["studies"], 1, [], {})] == ["one fold of only and studies"]


def test_one_fold_of_every_model_tells_the_speeds():
    assert first_passes(["a", "b"], ["c"]) == [Pass("a", 0), Pass("b", 0), Pass("c", 0)]
