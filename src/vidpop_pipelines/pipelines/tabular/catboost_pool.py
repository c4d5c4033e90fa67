"""Features as CatBoost reads them."""

from typing import Any

import numpy as np


def catboost_pool(features: np.ndarray, categorical: list[int], **about_rows: np.ndarray) -> Any:
    """Returns (N, F) features as CatBoost reads them fastest, categorical columns as such."""
    from catboost import FeaturesData, Pool

    numeric = np.setdiff1d(np.arange(features.shape[1]), categorical)
    codes = features[:, categorical].astype(int).astype("S").astype(object)
    return Pool(
        FeaturesData(
            num_feature_data=np.ascontiguousarray(features[:, numeric], dtype=np.float32),
            cat_feature_data=codes if categorical else None,
        ),
        **about_rows,
    )
