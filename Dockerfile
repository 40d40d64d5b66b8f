# A static binary, run by a user without rights, in an image with nothing else.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /out/usr/bin/penstock ./cmd/penstock \
 && mkdir -p /out/data /out/tmp /out/etc/ssl/certs /out/usr/share \
 && cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ \
 && cp -r /usr/share/zoneinfo /out/usr/share/

FROM scratch
COPY --from=build --chown=65532:65532 /out /
USER 65532:65532
VOLUME /data
WORKDIR /data
ENTRYPOINT ["/usr/bin/penstock"]
CMD ["--help"]
