"""FC-DenseNet"""
