"""The methods beside this file as cases of the contract suite (`tests/contracts`)."""

SMALL = ("backbone.channels=4", "backbone.blocks=1", "trainer.device=cpu")
CASES = {
    "adversarial": [
        *("method=adversarial", "dataset.train=32", "dataset.test=8", "dataset.size=32", *SMALL),
        *("method.embedding_epochs=2", "method.first_epochs=2", "method.epochs=2"),
    ],
    "prior": [
        *("method=prior", "dataset=scenes", "degradation=downsample", "scale=3", *SMALL),
        *("method.denoiser_epochs=2", "method.gradient_epochs=2", "method.iterations=8"),
        "method.sigma=0.5",
    ],
    "contrasts": [
        *("method=contrasts", "dataset=four_contrasts", "method.epochs=2", *SMALL),
        # Adam makes whole steps of the rounding of gradients that are 0, as of a bias before a
        # batch normalization, and two ranks round otherwise than one
        *("method.optimizer.name=sgd", "method.optimizer.lr=0.01"),
    ],
}
