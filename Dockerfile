# The worker. Built and run by docker-compose.yml; needs no torch.
FROM python:3.11-slim-bookworm
WORKDIR /opt/vigilia
COPY requirements/product.lock requirements/
RUN pip install --no-cache-dir -r requirements/product.lock
COPY pyproject.toml README.md LICENSE ./
COPY streams streams
COPY inference inference
COPY training training
RUN pip install --no-cache-dir --no-deps . && useradd --system vigilia
USER vigilia
ENTRYPOINT ["vigilia"]
