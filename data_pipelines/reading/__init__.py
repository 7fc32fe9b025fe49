"""Files to numbers: image and label files as a `DatasetSpec` says, whole or in windows, whatever their format."""
