# The packages of the conda environment, at the versions of requirements.txt. Called in the top folder of the project.
pip install --requirement requirements.txt
